"""Texts that submitters chose, made harmless to look at and legal in XML.

Control characters could drive a terminal, direction marks could make a line read as another one
(CVE-2021-42574), and neither is legal or visible everywhere: each becomes its escape, such as
``\\x1b`` or ``\\u202e``, so that nothing is hidden and nothing is lost.
"""

import re

# C0 and C1 controls, direction marks and overrides, line separators, byte order marks inside text,
# surrogates and non-characters. Tab and line feed are left to the caller.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    "\ufdd0-\ufdef\ufffe\uffff]"
)
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object) -> str:
    """Return the text with unsafe characters as escapes; tabs and line feeds stay."""
    return _UNSAFE.sub(_escape, str(text))


def one_line(text: object) -> str:
    """Return the text with unsafe characters, tabs and line ends as escapes."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    number = ord(character)
    return _ESCAPES.get(character) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")
