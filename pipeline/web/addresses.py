"""The address of a request: as its route was declared, and as it may be shown."""

import re

from starlette.types import Scope

#: What a container's token rides in.
_TOKEN = re.compile(r"^/t/[^/]*")
#: What may be a token, wherever it stands: callers and proxies put things before a path.
_SECRET = re.compile(r"((?:^|/)t/)[^/]+|\d{1,5}\.[0-9a-f]{40}|ql[ts]_[^/]+")
UNMATCHED = "unmatched"


def declared(scope: Scope) -> str:
    """Return the address of the route as it was declared, never with what callers put into it."""
    own = getattr(scope.get("route"), "path", None)
    if own is None:
        return UNMATCHED
    # A router knows its own part alone; what it was put under stands before that, word by word.
    above = scope["path"].split("/")[: -own.count("/") or None]
    return _TOKEN.sub("/t/{token}", "/".join(above)) + str(own)


def shown(path: str) -> str:
    """Return the path without what may be a token."""
    return _SECRET.sub(lambda found: f"{found[1] or ''}***", path)
