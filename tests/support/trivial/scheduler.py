"""The scheduler process that knows the trivial kind; run with ``python -m``."""

from pipeline.core.kinds import register
from schedules.__main__ import main
from tests.support.trivial import KIND

if __name__ == "__main__":
    register(KIND)
    main()
