"""Which of the two kinds a call is, and whether its service will take it: known from what workers
offer, unless the same request has its job already."""

from pipeline.core.kinds import Kind, get_kind
from pipeline.kinds.service import offers
from pipeline.kinds.service.spec import HEAVY, KIND_NAMES, LIGHT, ServiceParameters
from pipeline.store.models import JobRow


def kind_of(parameters: ServiceParameters, heavy: bool | None, before: JobRow | None) -> Kind:
    """Return the kind of the call; ``Refused`` for what its service will not take.

    ``before``: the job that was submitted under its key. Whatever is offered since, the request is
    the one that it was.
    """
    if before is None:
        offers.check(parameters)
    if heavy is None:
        if before is not None and before.kind in KIND_NAMES:
            return get_kind(before.kind)
        heavy = offers.are_heavy(parameters)
    return get_kind(HEAVY if heavy else LIGHT)
