"""Who comes by Socket.IO, as what it brings tells: a token, a ticket, or nothing, from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from socketio.exceptions import ConnectionRefusedError as Refusal

from pipeline.core.tickets import MOST_TEXT
from pipeline.settings import Settings

#: What proxies add: who came by one is not of this machine.
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What somebody has brought; without a secret it is the user of this machine.

    ``since``: until when it has been told, if it says so.
    """

    secret: str | None
    local_user: str = ""
    since: datetime | None = None


def arrival(environ: Mapping[str, Any], auth: Any, settings: Settings) -> Arrival:
    """Return it; refused is who brings nothing and is nobody's user here."""
    told = auth if isinstance(auth, dict) else {}
    since = _since(told.get("since"))
    secret = _secret(environ, told)
    if secret is not None:
        return Arrival(secret, since=since)
    if settings.api_local_user and _is_of_here(environ["asgi.scope"]):
        return Arrival(None, settings.api_local_user, since)
    raise Refusal('A token is needed: auth={"token": TOKEN}, or a ticket.')


def _secret(environ: Mapping[str, Any], told: Mapping[str, Any]) -> str | None:
    """Return the token or ticket. An address is written down by many on its way: it may hold a
    ticket, which is short-lived, and no token."""
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    scheme, _, bearer = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    candidates = (
        *(told.get("token"), told.get("ticket"), *query.get("ticket", [])),
        bearer.strip() if scheme.lower() == "bearer" else None,
    )
    for each in candidates:
        if isinstance(each, str) and each:
            if len(each) > MOST_TEXT:
                raise Refusal("The token is not known, was revoked or has expired.")
            return each
    return None


def _since(told: Any) -> datetime | None:
    if told is None:
        return None
    try:
        since = datetime.fromisoformat(told)
        return since.astimezone(UTC) if since.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        raise Refusal('"since" is an ISO 8601 time with its offset.') from None


def _is_of_here(scope: Mapping[str, Any]) -> bool:
    try:
        peer = ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None) or peer
    return mapped.is_loopback and not any(name in FORWARDED for name, _ in scope["headers"])
