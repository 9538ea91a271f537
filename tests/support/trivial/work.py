"""Does nothing, or fails where told to."""

from pipeline.core.runner import Ending
from pipeline.states import Reason
from tests.support.trivial import TrivialParameters


def work(job, claims, ledger, beat, context):
    """End every task as the parameters say."""
    bad = TrivialParameters.model_validate(job.parameters).bad
    for claim in claims:
        reason = bad.get(claim.seq)
        ledger.add(Ending(claim, Reason(reason) if reason else None))
