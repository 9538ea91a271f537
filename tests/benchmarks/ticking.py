"""A service that says again and again how far it is: what the bench of events follows."""

import threading

from pipeline.kinds.service import service

_never = threading.Event()


@service("bench", "ticking")
class Ticking:
    """Says how far it is, three times a second."""

    def tick(self, input_data, context):
        """Go on for ``times`` ticks."""
        for number in range(input_data["times"]):
            context.progress(number / input_data["times"], f"tick {number}")
            _never.wait(0.3)
        return {"ticks": input_data["times"]}
