"""Submits one trivial job of so many tasks and may die at named points; run with ``python -m``."""

import sys

from pipeline.core import jobs
from pipeline.core.context import open_context
from pipeline.core.jobs import Submission
from pipeline.core.kinds import register
from tests.support import mortal
from tests.support.trivial import KIND

if __name__ == "__main__":
    mortal.arm()
    register(KIND)
    open_context()
    print(jobs.submit(Submission(kind="trivial", parameters={"tasks": int(sys.argv[1])})))
