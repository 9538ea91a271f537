"""The service ``text/language``: which language a text is in."""

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.kinds.service.builtin.extras import needing
from pipeline.kinds.service.calls import TaskContext
from pipeline.kinds.service.registry import service

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A text may be as long as that; its beginning says it. Of much more, where words come again, the
#: library is less sure.
MOST_TEXT, ENOUGH_TEXT = 1_000_000, 2_000
#: Less than that is no answer: of a word or two, many languages come together to the rest.
LEAST_CONFIDENCE = 0.2
#: So many languages that it may be, too, are told.
MOST_OTHERS = 3
#: ISO 639's code for a text whose language cannot be told.
UNDETERMINED = "und"


class Text(BaseModel):
    """A text."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=MOST_TEXT)


class Guess(BaseModel):
    """A language as its ISO 639-1 code (zh, en, …), and how sure that is, from 0 to 1."""

    language: str
    confidence: float


class Language(Guess):
    """What a text is in; ``und``: it has too few letters, or is like none."""

    others: list[Guess]
    method: str = "py3langid"


@service("text", "language")
class TextLanguage:
    """Tells the language of a text, of over a hundred, Chinese and those of Europe among them.
    Needs no network."""

    def detect(self, input_data: Text, context: TaskContext) -> Language:
        """Return the language, and others that it may be."""
        return detected(input_data.text)


def detected(text: str) -> Language:
    """Return the language of the text."""
    letters = "".join(each if each.isalpha() else " " for each in text[:ENOUGH_TEXT])
    if not letters.strip():
        return Language(language=UNDETERMINED, confidence=0.0, others=[])
    with _lock:
        ranked = _ranked(letters)
    first, *others = [
        Guess(language=language, confidence=round(float(share), 4)) for language, share in ranked
    ]
    told = [each for each in others[:MOST_OTHERS] if each.confidence >= 0.01]
    if first.confidence < LEAST_CONFIDENCE:
        return Language(language=UNDETERMINED, confidence=0.0, others=[first, *told])
    return Language(**first.model_dump(), others=told)


def _ranked(text: str) -> "Sequence[tuple[str, float]]":
    ranked: Sequence[tuple[str, float]] = _identifier().rank(text)
    return ranked


@cache
def _identifier() -> Any:
    """Return the library's model, read once: that takes a moment, and 80 MB."""
    with needing("services"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Those without a code of two letters are close to one that has: Wu and Yue to Chinese.
    identifier.set_languages([each for each in identifier.labels if len(each) == 2])
    return identifier


#: Two threads do not read it at once.
_lock = threading.Lock()
