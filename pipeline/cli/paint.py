"""Colours for the text report on a terminal, line by line as it streams by."""

import re
from typing import BinaryIO

RESET, BOLD, DIM = b"\x1b[0m", b"\x1b[1m", b"\x1b[2m"
RED, GREEN, YELLOW, BLUE = b"\x1b[31m", b"\x1b[32m", b"\x1b[33m", b"\x1b[34m"

_FILE = re.compile(rb"^(== \[.*\]) (FAIL|PASS|ERROR|SKIPPED)$", re.DOTALL)
_VIOLATION = re.compile(rb"^(L: *\d+ \| P: *\d+ \| )( *\S+)( \| )(.*?)( \[[\w.]+\])?$", re.DOTALL)
_REST = re.compile(rb"^( {23}\| )(.*?)(\[[\w.]+\])?$", re.DOTALL)
_GATE = re.compile(rb"^(Gate \(.*\): )(FAILED|passed)(\.)$")
_STATUS = {b"FAIL": RED, b"ERROR": RED, b"PASS": GREEN, b"SKIPPED": YELLOW}


class Painter:
    """A binary stream that colours whole lines of the text report and hands them on."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, content: bytes) -> int:
        """Write the content, coloured."""
        for line in content.splitlines(keepends=True):
            body = line.removesuffix(b"\n")
            self._out.write(painted(body) + line[len(body) :])
        return len(content)

    def flush(self) -> None:
        """Hand on what waits."""
        self._out.flush()


def painted(line: bytes) -> bytes:
    """Return the line of the text report with colours."""
    if found := _VIOLATION.match(line):
        place, code, bar, text, rule = found.groups()
        colour = YELLOW if text.startswith(b"WARNING") else BLUE
        name = DIM + rule + RESET if rule else b""
        return DIM + place + RESET + colour + code + RESET + DIM + bar + RESET + text + name
    if found := _REST.match(line):
        return DIM + found[1] + RESET + found[2] + (DIM + found[3] + RESET if found[3] else b"")
    if found := _FILE.match(line):
        return BOLD + found[1] + RESET + b" " + BOLD + _STATUS[found[2]] + found[2] + RESET
    if found := _GATE.match(line):
        colour = RED if found[2] == b"FAILED" else GREEN
        return found[1] + BOLD + colour + found[2] + RESET + found[3]
    if line.startswith(b"WARNING:"):
        return YELLOW + line + RESET
    return line
