"""The address of a request: as its route was declared, and as it may be shown."""

import re

from starlette.types import Scope

#: What a container's token rides in.
_TOKEN = re.compile(r"^/t/[^/]*")
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
    """Return the path without the token that may ride in it."""
    return _TOKEN.sub("/t/***", path)
