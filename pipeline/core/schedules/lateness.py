"""What becomes of the times that have come: decided purely, from how late each of them is."""

from collections.abc import Sequence
from datetime import datetime

from pipeline.states import CatchUp


def runs(
    times: Sequence[datetime], policy: CatchUp, *, late_before: datetime, more: bool
) -> list[bool]:
    """Tell of each time, in order, whether it is made up for or comes in time; else it is skipped.

    ``more``: later ones have come, too, and are looked at next. ``once`` makes up for all that is
    late by the newest, unless a later time does that by itself.
    """
    if policy is CatchUp.ALL:
        return [True] * len(times)
    in_time = [moment >= late_before for moment in times]
    if policy is CatchUp.ONCE and times and not more and not in_time[-1]:
        in_time[-1] = True
    return in_time
