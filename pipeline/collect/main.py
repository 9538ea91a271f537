"""The process: reads its environment, hears signals, and ends with the exit code of the work."""

import logging
import os
import sys
import threading
import time

from pipeline.collect.environment import read_environment
from pipeline.collect.errors import ConfigRefused
from pipeline.collect.logs import configure_logs
from pipeline.collect.secrets import Redaction
from pipeline.collect.session import REFUSED, STOPPED, Session
from pipeline.collect.stopping import Stop, heed_signals

logger = logging.getLogger(__name__)

# Less than the ten seconds that Docker waits between TERM and KILL by default.
_GRACE_S = 6.0
_LOOK_S = 0.2


def main() -> int:
    """Return 0 done, 1 failed, 2 config refused, 143 stopped.

    Work that hangs in a call when a stop comes is left behind: nothing is lost by that, and the
    process ends by ``os._exit``, since Python would wait for its threads.
    """
    redaction, stop = Redaction(), Stop()
    configure_logs(redaction)
    try:
        session = Session(read_environment(), redaction, stop)
    except ConfigRefused as error:
        logger.error("%s", error)
        return REFUSED
    # The main thread waits for nothing but time, so that a signal finds it holding no lock.
    heed_signals(stop)
    work = threading.Thread(target=session.run, name="work", daemon=True)
    work.start()
    _await(work, session, stop)
    if work.is_alive():
        logger.error("The work does not stop in time and is left where it is")
        session.abandon()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(STOPPED if session.exit_code is None else session.exit_code)


def _await(work: threading.Thread, session: Session, stop: Stop) -> None:
    """The work has ended, or has had its time since the stop and knows no result yet."""
    deadline = None
    while work.is_alive():
        work.join(_LOOK_S)
        if stop.requested and deadline is None:
            deadline = time.monotonic() + _GRACE_S
        if deadline is not None and time.monotonic() > deadline and not session.is_ending:
            return
