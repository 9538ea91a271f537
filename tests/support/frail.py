"""Every doorbell, in a worker whose lint processes have hardly any stack: ``dramatiq
tests.support.frail``. A template that is nested deeply enough crashes them, as it is the first
thing that the kernel refuses them.

``FRAIL_PYTHON`` names the program that is run in place of Python; ``lay`` writes it.
"""

import os
import sys
from pathlib import Path

PYTHON = "FRAIL_PYTHON"
STACK_KIB = 256

#: Lint processes with a stack of that size crash from 150 levels on; with the usual 8 MiB none do.
CRASHING = b"SELECT {{ " + b"1 if x else " * 400 + b"1 }}\n"


def lay(folder: Path) -> dict[str, str]:
    """Write the program; return the variable that names it."""
    program = folder / "frail-python"
    program.write_text(f'#!/bin/sh\nulimit -S -s {STACK_KIB}\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    return {PYTHON: str(program)}


if PYTHON in os.environ:
    import actors

    assert actors
    sys.executable = os.environ[PYTHON]
