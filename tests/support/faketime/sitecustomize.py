"""Sleeps in a way that libfaketime understands; Python loads this by its name, at its start.

libfaketime 0.9.10 refuses the sleep until a monotonic moment that Python 3.11 uses.
"""

import select
import time
from typing import SupportsIndex


def sleep(seconds: float | SupportsIndex) -> None:
    """Return after so many seconds."""
    select.select([], [], [], float(seconds))


time.sleep = sleep
