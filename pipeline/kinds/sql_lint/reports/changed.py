"""What ``--fix`` changed in a file: its new bytes and where they go."""

import codecs

from pipeline.kinds.sql_lint.reports.model import FileReport


def changed_bytes(file: FileReport) -> bytes | None:
    """Return the fixed file in its own encoding; None when nothing changed.

    A text that its encoding cannot hold (a fix may add characters) is written as UTF-8.
    """
    fixed = None if file.result is None else file.result.get("fixed")
    if fixed is None or file.result is None or file.result.get("diff") == "":
        return None
    return encoded(with_line_ends(file, str(fixed)), encoding_of(file))


def with_line_ends(file: FileReport, text: str) -> str:
    """Return the text with the file's own line ends, if the engine said (``newline``) they differ.

    The engine's texts have line feeds only, as SQLFluff reads and writes them.
    """
    newline = (file.result or {}).get("newline")
    return text.replace("\n", "\r\n") if newline == "\r\n" else text


def encoding_of(file: FileReport) -> str:
    """Return Python's name of the file's encoding; UTF-8 when it is not known."""
    try:
        return codecs.lookup(str((file.result or {}).get("encoding") or "utf-8")).name
    except LookupError:
        return "utf-8"


def encoded(text: str, encoding: str) -> bytes:
    """Return the text in that encoding, or in UTF-8 when it cannot hold the text."""
    try:
        return text.encode(encoding)
    except UnicodeError:
        return text.encode("utf-8", "replace")


def is_safe(path: str) -> bool:
    """True when the path stays below the folder it is unpacked or patched in.

    Archives refuse other paths on the way in; a report must not rest on that.
    """
    parts = path.split("/")
    plain = "\\" not in path and "\0" not in path and ":" not in parts[0]
    return plain and all(part not in ("", ".", "..") for part in parts)
