"""The scheduler process under a clock that runs fast; run with ``python -m``.

What is due is judged by the database's clock. Here that clock runs ``speed`` times as fast from a
given moment on, for the schedules' times alone: leases, hints and the processes themselves stay in
true time. Whoever is told the same clock sees the same time.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from pipeline.core.kinds import register
from pipeline.core.schedules import rows
from schedules.__main__ import main
from tests.support.trivial import KIND

CLOCK = "FAST_CLOCK"


@dataclass(frozen=True)
class FastClock:
    """At the true moment ``since`` it shows ``first``."""

    first: str
    since: str
    speed: float

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to go by this clock."""
        return {CLOCK: json.dumps(asdict(self))}

    def over(self, honest: Callable[[], datetime]) -> Callable[[], datetime]:
        """Return a clock that runs fast, from one that does not."""
        first, since = datetime.fromisoformat(self.first), datetime.fromisoformat(self.since)

        def now() -> datetime:
            told: timedelta = honest() - since
            return first + told * self.speed

        return now


if __name__ == "__main__":
    rows.database_now = FastClock(**json.loads(os.environ[CLOCK])).over(rows.database_now)
    register(KIND)
    main()
