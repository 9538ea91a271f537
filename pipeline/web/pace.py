"""How fast a client has to be: what it sends or takes comes to an end."""

import time

from starlette.exceptions import HTTPException

#: Who has sent less than this a second, once the patience for one piece is over, is let go.
LEAST_BYTES_PER_S = 1024


class Pace:
    """Of one body, from its first look on."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._began_at = time.monotonic()

    def check(self, size_bytes: int) -> None:
        """Raise 408 where so much is too little by now."""
        took_s = time.monotonic() - self._began_at
        if took_s > self._patience_s and size_bytes < LEAST_BYTES_PER_S * took_s:
            raise HTTPException(408, f"Less than {LEAST_BYTES_PER_S} bytes came a second.")
