"""The scheduler process that may die at named points; run with ``python -m``."""

from pipeline.core.kinds import register
from schedules.__main__ import main
from tests.support import mortal
from tests.support.trivial import KIND

if __name__ == "__main__":
    mortal.arm()
    register(KIND)
    main()
