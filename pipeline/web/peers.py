"""The address of who asks: that of the connection, or what a proxy says that is trusted."""

from collections.abc import Sequence
from ipaddress import ip_address

from pipeline.addresses import Network


def address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return the last address of the chain that is none of a trusted proxy's.

    Each proxy appends whom it was asked by, so what stands before that is only what a caller says.
    What is no address ends the chain: nothing made up is noted.
    """
    found = peer
    for told in reversed(forwarded.split(",") if trusted else ()):
        if not _is_trusted(found, trusted):
            break
        named = _bare(told)
        if named is None:
            break
        found = named
    return found


def _is_trusted(told: str, trusted: Sequence[Network]) -> bool:
    try:
        one = ip_address(told)
    except ValueError:
        return False
    mapped = getattr(one, "ipv4_mapped", None)
    return any((mapped or one) in network for network in trusted)


def _bare(told: str) -> str | None:
    """Return the address alone, without a port; None when it is none."""
    told = told.strip()
    if told.startswith("["):
        told = told[1:].partition("]")[0]
    elif told.count(":") == 1:
        told = told.partition(":")[0]
    try:
        return str(ip_address(told.partition("%")[0]))
    except ValueError:
        return None
