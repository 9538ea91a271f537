"""The service ``text/statistics``: what can be counted in a text."""

import re
from collections import Counter

from pydantic import BaseModel, ConfigDict, Field

from pipeline.kinds.service.calls import TaskContext
from pipeline.kinds.service.registry import service

#: No text is longer, in characters.
MOST_TEXT = 1_000_000
#: So many of its words are told.
MOST_WORDS = 20
#: Words that people read in a minute.
WORDS_A_MINUTE = 230

#: In these scripts a character is about a word: Han, Hiragana, Katakana.
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CHARACTER}]|(?:(?![{_CHARACTER}])[\w])+(?:['’-](?![{_CHARACTER}])\w+)*")
_SENTENCE = re.compile(r"[^.!?。！？…]*\w[^.!?。！？…]*")


class Text(BaseModel):
    """A text."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=MOST_TEXT)


class WordCount(BaseModel):
    """How often a word stands there, in small letters."""

    word: str
    count: int


class Statistics(BaseModel):
    """What was counted. A character of Chinese or Japanese counts as a word, as in word processors.

    ``characters`` are code points: an emoji may be several.
    """

    characters: int
    characters_without_spaces: int
    bytes: int
    words: int
    unique_words: int
    han_or_kana: int
    sentences: int
    paragraphs: int
    lines: int
    average_word_length: float
    reading_minutes: float
    most_common: list[WordCount]


@service("text", "statistics")
class TextStatistics:
    """Counts characters, words, sentences, paragraphs and the most common words of a text. Needs no
    network."""

    def count(self, input_data: Text, context: TaskContext) -> Statistics:
        """Return what can be counted in the text."""
        text = input_data.text
        words = words_of(text)
        seen = Counter(words)
        return Statistics(
            characters=len(text),
            characters_without_spaces=sum(not each.isspace() for each in text),
            bytes=len(text.encode("utf-8", "replace")),
            words=len(words),
            unique_words=len(seen),
            han_or_kana=len(re.findall(f"[{_CHARACTER}]", text)),
            sentences=len(_SENTENCE.findall(text)),
            paragraphs=sum(bool(each.strip()) for each in re.split(r"\n\s*\n", text)),
            lines=len(text.splitlines()),
            average_word_length=round(sum(map(len, words)) / len(words), 2) if words else 0.0,
            reading_minutes=round(len(words) / WORDS_A_MINUTE, 2),
            most_common=[
                WordCount(word=word, count=number) for word, number in seen.most_common(MOST_WORDS)
            ],
        )


def words_of(text: str) -> list[str]:
    """Return the words of the text, in small letters."""
    return [word.lower() for word in _WORD.findall(text)]
