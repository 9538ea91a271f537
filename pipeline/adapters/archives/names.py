"""Names of entries: from bytes to text, and what makes a name unsafe.

Nothing is ever unpacked to disk, but names travel into rows, reports and fixed archives, where
``..``, control characters and invisible or right-to-left marks do their harm.
"""

import re
from collections.abc import Sequence

from pipeline.adapters.archives.model import ArchiveLimits, Problem
from pipeline.states import Reason

# C0, DEL, C1, soft hyphen, bidirectional marks and overrides, zero-width and other invisible
# format characters (the joiners U+200C/D stay: Persian and emoji need them), line separators,
# surrogates, byte order mark, interlinear marks, non-characters, tags.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_DOTS = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")
# No usual file system holds a longer component (255 bytes or UTF-16 units).
_LONG_COMPONENT = re.compile(r"[^/]{256}")
_DRIVE = re.compile(r"[A-Za-z]:")
_SHOWN_CHARACTERS = 200


def read(raw: bytes, encodings: Sequence[str], limits: ArchiveLimits) -> tuple[str, Problem | None]:
    """The name as text, and None when it is safe; else as it can be shown, and the problem."""
    if len(raw) > limits.max_name_bytes:
        # No name gets shorter in UTF-8, and names of megabytes are not worth decoding.
        return shown(raw), _unsafe(f"is {len(raw)} bytes long, more than {limits.max_name_bytes}")
    name = _decoded(raw, encodings)
    if name is None:
        return shown(raw), _unsafe(f"is not valid {' or '.join(encodings).upper()}")
    name = _plain(name)
    why = _why_unsafe(name, limits)
    if why is None:
        return name, None
    return shown(name), _unsafe(why)


def _decoded(raw: bytes, encodings: Sequence[str]) -> str | None:
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _plain(name: str) -> str:
    """Without the leading ``./`` that ``tar c .`` writes; ``./a`` and ``a`` are one file."""
    while name.startswith("./"):
        name = name[2:]
    return name


def _why_unsafe(name: str, limits: ArchiveLimits) -> str | None:
    if not name:
        return "is empty"
    if len(name) * 4 > limits.max_name_bytes:
        size_bytes = len(name.encode("utf-8", "surrogatepass"))
        if size_bytes > limits.max_name_bytes:
            return f"is {size_bytes} bytes long, more than {limits.max_name_bytes}"
    if found := _FORBIDDEN.search(name):
        return f"holds the character U+{ord(found[0]):04X}, a control or an invisible one"
    if "\\" in name:
        return "holds a back-slash; folders are separated by '/'"
    if name[0] == "/" or _DRIVE.match(name):
        return "is absolute"
    if _DOTS.search(name):
        return "has a component '..', '.' or an empty one"
    if _LONG_COMPONENT.search(name):
        return "has a component longer than 255 characters"
    if name.count("/") >= limits.max_depth:
        return f"is more than {limits.max_depth} folders deep"
    return None


def _unsafe(why: str) -> Problem:
    return Problem(
        Reason.UNSAFE_ENTRY, f"The entry's name {why}: rename the file and pack it again."
    )


def shown(name: str | bytes) -> str:
    """The name as it can be shown and stored: escaped, never empty, at most 200 characters."""
    if isinstance(name, bytes):
        name = name[: 4 * _SHOWN_CHARACTERS + 4].decode("utf-8", "backslashreplace")
    # The slice comes first: escapes make text longer, and names can be megabytes.
    text = _FORBIDDEN.sub(_escaped, name[: _SHOWN_CHARACTERS + 1])
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    return text or "(no name)"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
