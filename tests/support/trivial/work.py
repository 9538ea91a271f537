"""Does nothing, or fails where told to."""

import threading

from pipeline.core.runner import Ending
from pipeline.states import Reason
from tests.support.trivial import TrivialParameters


def work(job, claims, ledger, beat, context):
    """End every task as the parameters say."""
    told = TrivialParameters.model_validate(job.parameters)
    for claim in claims:
        if told.pause_s:
            threading.Event().wait(told.pause_s)
        if beat.stopped():
            return
        reason = told.bad.get(claim.seq)
        ledger.add(Ending(claim, Reason(reason) if reason else None))
