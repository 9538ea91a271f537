"""The scheduler process, knowing the trivial kind: ``python -m tests.support.trivial.scheduler``."""

from pipeline.core.kinds import register
from schedules.__main__ import main
from tests.support.trivial import KIND

if __name__ == "__main__":
    register(KIND)
    main()
