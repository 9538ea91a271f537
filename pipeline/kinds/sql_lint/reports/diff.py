"""What ``--fix`` changed as one patch for ``git apply`` or ``patch -p1``.

Each file's hunks are in the file's own encoding, else they would not apply. UTF-16 and UTF-32 are
binary to Git: such a file gets a line that says so, and is complete in the ZIP of fixed files.
"""

from typing import BinaryIO

from pipeline.kinds.sql_lint.reports.changed import (
    encoded,
    encoding_of,
    is_safe,
    with_line_ends,
)
from pipeline.kinds.sql_lint.reports.characters import one_line
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport

_BINARY = ("utf-16", "utf-32")
_BOM = "\ufeff"


def write(report: LintReport, out: BinaryIO) -> None:
    """Write the patch; memory holds one file at a time."""
    for file in report.files():
        out.write(patch(file))


def patch(file: FileReport) -> bytes:
    """Return the file's part of the patch; empty when nothing changed."""
    hunks = _hunks(str((file.result or {}).get("diff") or ""))
    if not hunks or not is_safe(file.path):
        return b""
    encoding = encoding_of(file)
    if encoding.startswith(_BINARY):
        return (
            f"# {one_line(file.path)}: not in this patch, Git cannot patch {encoding}.\n".encode()
        )
    if encoding == "utf-8-sig":
        hunks, encoding = _with_mark(hunks), "utf-8"
    old, new = _name(f"a/{file.path}"), _name(f"b/{file.path}")
    # Git ends a name that holds a space with a tab.
    tab = "\t" if " " in file.path else ""
    head = f"diff --git {old} {new}\n--- {old}{tab}\n+++ {new}{tab}\n"
    body = "".join(_line(file, line) for line in hunks)
    return head.encode("utf-8", "replace") + encoded(body, encoding)


def _line(file: FileReport, line: str) -> str:
    # Git's own lines end in a line feed; those of the file end as the file's do.
    own = line.startswith(("@@ ", "\\ "))
    return f"{line}\n" if own else with_line_ends(file, f"{line}\n")


def _hunks(diff: str) -> list[str]:
    """Return the lines from the first hunk on; split at line feeds only, as Git does."""
    lines = diff.removesuffix("\n").split("\n")
    starts = (index for index, line in enumerate(lines) if line.startswith("@@ "))
    first = next(starts, len(lines))
    return lines[first:]


def _with_mark(hunks: list[str]) -> list[str]:
    """Return the hunks with the byte order mark that both sides of the first line have."""
    if not hunks[0].startswith("@@ -1,") and not hunks[0].startswith("@@ -1 "):
        return hunks
    marked, open_sides = list(hunks), {"-", "+"}
    for index, line in enumerate(hunks[1:], 1):
        sides = {" ": {"-", "+"}}.get(line[:1], {line[:1]}) & open_sides
        if line.startswith("@@ ") or not open_sides:
            break
        if sides and _BOM not in line[:2]:
            marked[index] = line[:1] + _BOM + line[1:]
        open_sides -= sides
    return marked


def _name(path: str) -> str:
    """Return the path as Git writes it: quoted when it holds a quote or a control character."""
    special = any(
        character in '"\\' or character < " " or character == "\x7f" for character in path
    )
    if not special:
        return path
    quoted = "".join(_quoted(character) for character in path)
    return f'"{quoted}"'


def _quoted(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return f"\\{ord(character):03o}" if character < " " or character == "\x7f" else character
