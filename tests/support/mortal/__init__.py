"""Processes that end themselves at named points: one token taken, one SIGKILL.

``dramatiq tests.support.mortal.actors``, ``python -m tests.support.mortal.scheduler`` and
``… .submitter``. A token is a file ``POINT.NUMBER`` in the folder that ``MORTAL_TOKENS`` names;
whoever unlinks it at that point dies, and nobody else does.
"""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from pipeline import failpoints
from pipeline.failpoints import Point

TOKENS = "MORTAL_TOKENS"


def arm() -> None:
    """Let this process die where a token lies."""
    failpoints.arm(_die)


def lay(folder: Path, points: Iterable[Point]) -> None:
    """Put one token at each of the points."""
    for number, point in enumerate(points):
        (folder / f"{point}.{number}").touch()


def left(folder: Path) -> list[str]:
    """Return the points whose tokens nobody has taken."""
    return sorted(token.stem for token in folder.iterdir())


def _die(point: Point) -> None:
    for token in Path(os.environ[TOKENS]).glob(f"{point}.*"):
        try:
            token.unlink()
        except FileNotFoundError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
