"""Who asks is the connection's other end, or whom a trusted proxy names; no word of a caller's."""

import pytest

from pipeline import addresses
from pipeline.web import peers

TRUSTED = addresses.networks("10.0.0.0/8, 192.0.2.1, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.9.9.9,192.0.2.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("fd00::1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("", "198.51.100.1", ""),
    ],
)
def test_address(peer: str, forwarded: str, found: str) -> None:
    assert peers.address(peer, forwarded, TRUSTED) == found


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert peers.address("10.0.0.1", "198.51.100.1", []) == "10.0.0.1"


@pytest.mark.parametrize("told", ["10.0.0.0/33", "proxy", "10.0.0.1/8", "10.0.0.0/8;"])
def test_what_is_no_network_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        addresses.networks(told)
