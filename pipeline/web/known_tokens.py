"""API tokens that were looked up just now; so that one who polls costs the database little."""

import threading
import time
from collections import OrderedDict

from pipeline.core import api_tokens
from pipeline.core.api_tokens import ApiToken

#: A revoked or expired token is taken for so long at most.
KNOWN_S = 2.0
MOST_KNOWN = 10_000


class KnownTokens:
    """Looks tokens up and remembers good ones for a moment; a wrong one is looked up every time."""

    def __init__(self, known_s: float = KNOWN_S) -> None:
        self._known_s = known_s
        self._known: OrderedDict[str, tuple[float, ApiToken]] = OrderedDict()
        self._lock = threading.Lock()

    def remembered(self, secret: str) -> ApiToken | None:
        """Return the token if it was looked up just now; asks nobody."""
        with self._lock:
            found = self._known.get(secret)
            if found is None or time.monotonic() - found[0] >= self._known_s:
                return None
            return found[1]

    def find(self, secret: str) -> ApiToken | None:
        """Return the token's row, None when it is not valid."""
        looked_at = time.monotonic()
        token = api_tokens.find(secret)
        with self._lock:
            self._known.pop(secret, None)
            if token is not None:
                self._known[secret] = (looked_at, token)
                if len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
        return token
