"""Does nothing, fails where told to, or takes its worker with it."""

import os
import signal
import threading

from pipeline import broker
from pipeline.core.runner import Ending
from pipeline.states import Reason
from tests.support.trivial import TrivialParameters


def work(job, claims, ledger, beat, context):
    """End every task as the parameters say."""
    told = TrivialParameters.model_validate(job.parameters)
    for claim in claims:
        if beat.stopped():
            return
        if broker.stopping():
            ledger.hand_back(Reason.WORKER_LOST, "The worker was stopped.")
            return
        if pause_s := told.slow.get(claim.seq, told.pause_s):
            threading.Event().wait(pause_s)
        if claim.seq in told.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        reason = told.bad.get(claim.seq)
        ledger.add(Ending(claim, Reason(reason) if reason else None))
