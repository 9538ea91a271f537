"""An answered request on its way into the access log: noticed at once, put into words later.

What callers say is told as one printable line of bounded length, without what may be a token.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import Scope

from pipeline import clock
from pipeline.addresses import Network
from pipeline.core.access_log import MOST_PATH, MOST_TEXT, Record
from pipeline.web import addresses, peers
from pipeline.web.resources import resource_of

#: Where in a scope the owner of the request's token stands.
CALLER = "quayline.caller"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known when a request was answered; it is put into words later, elsewhere."""

    ended_at: float
    method: str
    path: str
    route: str
    status: int
    seconds: float
    user_id: str | None
    path_params: dict[str, object]
    peer: str
    forwarded: bytes
    agent: bytes
    request_id: str
    location: str


def noticed(scope: Scope, route: str, status: int, seconds: float, location: str) -> Entry:
    """Return what the scope tells of the request; this is all that a request waits for."""
    forwarded = agent = b""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            agent = value[:MOST_TEXT]
        elif name == b"x-forwarded-for":
            # Of several lines, and of one that is long, the end is what proxies have written.
            forwarded = (forwarded + b"," + value)[-1000:]
    return Entry(
        *(time.time(), scope["method"], scope["path"][: 2 * MOST_PATH], route, status, seconds),
        scope.get(CALLER),
        {name: value for name, value in scope.get("path_params", {}).items() if name != "token"},
        (scope.get("client") or ("",))[0],
        *(forwarded, agent, scope["quayline.request_id"], location[:MOST_PATH]),
    )


def record_of(entry: Entry, trusted: Sequence[Network]) -> Record:
    """Return the record, with an id of its own that holds the moment at which it came."""
    resource_type, resource_id = resource_of(entry.route, entry.path_params, entry.location)
    began_at = datetime.fromtimestamp(entry.ended_at - entry.seconds, UTC)
    ip_address = peers.address(entry.peer, entry.forwarded.decode("latin-1"), trusted)
    return Record(
        id=str(clock.id_at(began_at)),
        method=_shown(entry.method, 20) or "",
        path=_shown(addresses.shown(entry.path), MOST_PATH) or "",
        route=_shown(entry.route) or "",
        status_code=entry.status,
        response_time_ms=round(entry.seconds * 1000, 3),
        user_id=_shown(entry.user_id),
        resource_type=resource_type,
        resource_id=_shown(addresses.shown(resource_id)) if resource_id else None,
        ip_address=_shown(ip_address),
        request_id=entry.request_id,
        user_agent=_shown(addresses.shown(entry.agent.decode("utf-8", "replace"))),
    )


def _shown(text: str | None, most: int = MOST_TEXT) -> str | None:
    """Return the text as one line of a terminal bears it, not longer than that; None for none."""
    if not text:
        return None
    shown = text
    if not text.isprintable():
        shown = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
