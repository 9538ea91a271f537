"""Turns the bytes of a SQL file into the text SQLFluff's command would read from it.

SQLFluff asks chardet. Where chardet's answer decodes strictly, it is followed, so that positions
agree; where it does not, SQLFluff would put backslash escapes into the text, and here
charset-normalizer is the judge instead. What neither can read is no text.
"""

import codecs
import io

import chardet
import charset_normalizer

_BOMS = (
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


#: Every byte but the control characters that no text needs.
_USUAL = bytes(sign for sign in range(256) if sign >= 0x20 or sign in b"\t\n\r\f\v")
#: UTF-8 text may hold one such character in so many, or two in all.
STRAY_PART = 200


class NotText(Exception):
    """Raised with a sentence when the bytes are no text that can be linted."""


def decode(data: bytes, configured: str = "autodetect") -> tuple[str, str]:
    """The text (newlines as ``\\n``) and the name of its encoding."""
    if configured != "autodetect":
        return _read(data, configured, errors="backslashreplace"), configured
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _read_strictly(data, encoding), encoding
    if b"\0" in data and not _has_a_stray_nul(data):
        return _read_wide(data)
    if data.isascii():
        return _read(data, "ascii"), "ascii"
    detected = chardet.detect(data).get("encoding")
    if detected:
        try:
            return _read(data, detected), detected
        except (UnicodeError, LookupError):
            pass
    return judge(data)


def _read(data: bytes, encoding: str, errors: str = "strict") -> str:
    """Exactly what ``open(…, encoding=…)`` reads: the same decoder, the same newlines."""
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding, errors=errors).read()


def _read_strictly(data: bytes, encoding: str) -> str:
    try:
        return _read(data, encoding)
    except UnicodeError as error:
        raise NotText(f"The file starts as {encoding} text but is not: {error}.") from None


def _has_a_stray_nul(data: bytes) -> bool:
    """Text may hold a NUL here and there (``LINES TERMINATED BY '^@'``), as SQLFluff reads it."""
    strange = len(data.translate(None, _USUAL))
    if strange > max(2, len(data) // STRAY_PART):
        return False
    try:
        data.decode("utf-8")
    except UnicodeError:
        return False
    return True


def _read_wide(data: bytes) -> tuple[str, str]:
    """NUL bytes are text only in UTF-16 and UTF-32."""
    detected = chardet.detect(data).get("encoding") or ""
    if detected.lower().startswith(("utf-16", "utf-32")):
        try:
            text = _read(data, detected)
        except UnicodeError:
            text = "\0"
        if _looks_like_wide_text(text):
            return text, detected
    raise NotText("The file is binary: it holds NUL bytes.")


def _looks_like_wide_text(text: str) -> bool:
    """SQL has its keywords and blanks in any language; binary read two bytes at a time has not."""
    latin = sum(sign < "\u0100" for sign in text)
    controls = sum(sign < " " and sign not in "\t\n\r\f\v" for sign in text)
    return controls == 0 and latin * 5 > len(text)


def judge(data: bytes) -> tuple[str, str]:
    """What charset-normalizer takes the bytes for."""
    best = charset_normalizer.from_bytes(data).best()
    if best is None:
        raise NotText("The file is binary, or its encoding is not known.")
    return _read_strictly(data, best.encoding), best.encoding
