"""Ctrl-C and SIGTERM: the first asks for a clean end, the second ends the process at once."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn, Self

from pipeline.cli.exits import SIGNAL

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Raised by the first signal while nothing is under way that has to be ended cleanly."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = SIGNAL + signum


class Interrupts:
    """Within the block signals are heard; before and after they do what they did.

    While ``raising`` the first signal raises ``Interrupted`` where the program is; afterwards it
    is only noted in ``signum``, for a loop that looks and waits with ``wait``.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raising = True
        self._heard = threading.Event()
        self._before: dict[int, Any] = {}

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or at once when a signal has been heard."""
        self._heard.wait(seconds)

    @property
    def exit_code(self) -> int:
        """The exit code of a process that ended because of the signal."""
        return SIGNAL + (self.signum or 0)

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum is not None:
            leave_at_once(SIGNAL + signum)
        self.signum = signum
        self._heard.set()
        if self.raising:
            raise Interrupted(signum)

    def __enter__(self) -> Self:
        """Begin to hear."""
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                self._before[signum] = signal.signal(signum, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        """Put back what was there before."""
        for signum, before in self._before.items():
            signal.signal(signum, before)


def leave_at_once(code: int) -> NoReturn:
    """End the process now, with a usable terminal; the lint children end with their parent."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
    os._exit(code)
