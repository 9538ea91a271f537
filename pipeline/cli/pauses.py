"""How long to wait before what ended unasked is started again."""

FIRST_S, LONGEST_S = 1.0, 30.0
#: A run of this length was a good one: the next pause is the first again.
GOOD_RUN_S = 60.0


class Pauses:
    """Pauses that double from one short run to the next."""

    def __init__(self, first_s: float = FIRST_S) -> None:
        self._first_s = self._next_s = first_s

    def after(self, run_s: float) -> float:
        """Return the pause after a run that took so long."""
        if run_s >= GOOD_RUN_S:
            self._next_s = self._first_s
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        return pause_s
