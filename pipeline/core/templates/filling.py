"""Values put in for placeholders. Nothing is computed: a value stands where its name stood.

``{"$var": "name"}`` is replaced by the value with its type; ``${name}`` inside a text by its text
(``$${`` is ``${``). Names of an object's members are left as they are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.core.templates.variables import WITHOUT_TEXT, Variable
from pipeline.errors import Refused
from pipeline.states import Reason

VAR = "$var"
#: As many levels as a request's document may have (``pipeline/web/bodies.py``).
MOST_DEPTH = 100

_TEXT = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})\}|(?P<bad>\$\{)")


class _Nothing:
    """Stands for a value that is not there."""


_NOTHING = _Nothing()


def check(document: Any, variables: Mapping[str, Variable]) -> None:
    """Refuse a document with placeholders that are none, or of variables that are not declared."""
    for name, in_text in _placeholders(document, 0):
        if name not in variables:
            raise Refused(f"The parameters use the variable {name!r}, which is not declared.")
        kind = variables[name].type
        if in_text and kind in WITHOUT_TEXT:
            raise Refused(
                f"The variable {name} is of the type {kind}, which has no text to stand inside"
                f' another: write {{"{VAR}": "{name}"}} in place of the whole.'
            )


def _placeholders(document: Any, depth: int) -> Iterator[tuple[str, bool]]:
    """Yield the name of each, and whether it stands inside a text."""
    if depth > MOST_DEPTH:
        raise Refused(f"The parameters are more than {MOST_DEPTH} levels deep.")
    if isinstance(document, str):
        yield from ((name, True) for name in _names(document))
    elif isinstance(document, list):
        for each in document:
            yield from _placeholders(each, depth + 1)
    elif isinstance(document, dict):
        if VAR in document:
            name = document[VAR]
            if len(document) > 1 or not isinstance(name, str):
                raise Refused(f'A placeholder is exactly {{"{VAR}": "NAME"}}.')
            yield name, False
            return
        for each in document.values():
            yield from _placeholders(each, depth + 1)


def _names(text: str) -> Iterator[str]:
    for found in _TEXT.finditer(text):
        if found["bad"]:
            raise Refused(
                f"The text {text[found.start() :][:40]!r} begins with ${{ and names no"
                " variable; write $${ where ${ itself is meant."
            )
        if found["name"]:
            yield found["name"]


def escaped(document: Any) -> Any:
    """Return the document as a template of itself: what looks like a placeholder is none."""
    if isinstance(document, str):
        return document.replace("${", "$${")
    if isinstance(document, list):
        return [escaped(each) for each in document]
    if isinstance(document, dict):
        return {name: escaped(each) for name, each in document.items()}
    return document


class Filling:
    """Puts values into a document, of which no more than so many bytes may come."""

    def __init__(self, values: Mapping[str, Any], *, most_bytes: int) -> None:
        self._values = values
        self._sizes = {
            name: len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
            for name, value in values.items()
        }
        self._left = self._most = most_bytes

    def filled(self, document: Any) -> Any:
        """Return the document with the values in it; ``Refused`` (too_large) past the limit."""
        found = self._put_in(document)
        return None if found is _NOTHING else found

    def _put_in(self, document: Any) -> Any:
        if isinstance(document, str):
            return _TEXT.sub(self._text, document)
        if isinstance(document, list):
            told = [self._put_in(each) for each in document]
            return [each for each in told if each is not _NOTHING]
        if isinstance(document, dict):
            if VAR in document:
                return self._value(document[VAR])
            pairs = {name: self._put_in(each) for name, each in document.items()}
            return {name: each for name, each in pairs.items() if each is not _NOTHING}
        return document

    def _value(self, name: str) -> Any:
        self._spend(name)
        return self._values.get(name, _NOTHING)

    def _text(self, found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return "${"
        self._spend(name)
        value = self._values.get(name, "")
        return value if isinstance(value, str) else json.dumps(value)

    def _spend(self, name: str) -> None:
        """A small template may name a large value a thousand times."""
        self._left -= self._sizes.get(name, 0)
        if self._left < 0:
            raise Refused(
                f"The values make the parameters larger than {self._most} bytes"
                " (QUAYLINE_API_MAX_BODY_BYTES).",
                reason=Reason.TOO_LARGE,
            )
