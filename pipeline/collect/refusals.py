"""When a refusal of the service is meant for this execution, and not a moment's disorder."""

import httpx

# Something before the service may refuse for it, while that is put up anew.
_MOST = 3
_WITHIN_S = 30.0
_NOT_OURS = frozenset({401, 403, 404, 409, 410})
_OWN_TYPE = "urn:quayline:problem:"


class Refusals:
    """The refusals in a row so far."""

    def __init__(self) -> None:
        self._count = 0
        self._first_at = 0.0

    def note(self, answer: httpx.Response | None, now_s: float) -> bool:
        """Return True where an answer, or none, is a refusal; any other ends the row."""
        if answer is None or answer.status_code not in _NOT_OURS:
            self._count = 0
            return False
        if self._count == 0:
            self._first_at = now_s
        self._count += 1
        return True

    def final(self, answer: httpx.Response, now_s: float) -> bool:
        """Return True where the service itself has said so, or nothing else for long enough."""
        return is_own(answer) or (self._count >= _MOST and now_s - self._first_at >= _WITHIN_S)


def is_own(answer: httpx.Response) -> bool:
    """Return True where an error was written by the service, and not by something before it."""
    try:
        told = answer.json()
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and str(told.get("type", "")).startswith(_OWN_TYPE)
