"""Archives with random damage: flipped bits, cuts, splices of two, numbers set to extremes.

``hurt`` takes either these or the deformed ones, whose damage passes checksums (``deforming``).
"""

import gzip
import io
from random import Random

from pipeline.adapters.archives import ArchiveLimits, open_archive
from pipeline.errors import QuaylineError
from tests.unit.adapters.archives.deforming import deformed
from tests.unit.adapters.archives.kit import CASES

LIMITS = ArchiveLimits(
    max_entries=1000, max_entry_bytes=1 << 20, max_total_bytes=8 << 20, max_name_bytes=512
)
_EXTREMES = (b"\x00", b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\x00" * 4, b"\x7f" + b"\xff" * 7)
_MAGICS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"\x1f\x8b")
_MOST_BYTES = 200_000

_SEEDS: list[bytes] = []


def seeds() -> list[bytes]:
    """The kit's archives that are small enough to hit something when damaged."""
    if not _SEEDS:
        built = (case.build() for case in CASES)
        _SEEDS.extend(data for data in built if 0 < len(data) <= _MOST_BYTES)
    return _SEEDS


def hurt(seed: int) -> bytes:
    """The archive of that number: every other one is wounded, every other one deformed."""
    return (mutated, deformed)[seed % 2](Random(seed))


def mutated(random: Random) -> bytes:
    """One of the kit's archives after one to four wounds."""
    data = bytearray(random.choice(seeds()))
    for _ in range(random.randint(1, 4)):
        _WOUNDS[random.randrange(len(_WOUNDS))](random, data)
    # A wound inside gzip data is caught by gzip; packed afterwards it reaches what reads the tar.
    return gzip.compress(data, 1) if random.random() < 0.2 else bytes(data)


def _at(random: Random, data: bytearray) -> int:
    """Anywhere, or near an end: that is where directories and headers are."""
    span = random.choice((len(data), 600, 120))
    at = random.randrange(max(1, min(span, len(data))))
    return at if random.random() < 0.5 else max(0, len(data) - 1 - at)


def _flip(random: Random, data: bytearray) -> None:
    if data:
        data[_at(random, data)] ^= 1 << random.randrange(8)


def _cut(random: Random, data: bytearray) -> None:
    del data[_at(random, data) :]


def _remove(random: Random, data: bytearray) -> None:
    at = _at(random, data)
    del data[at : at + random.randint(1, 600)]


def _overwrite(random: Random, data: bytearray) -> None:
    at, value = _at(random, data), random.choice(_EXTREMES + _MAGICS)
    data[at : at + len(value)] = value


def _repeat(random: Random, data: bytearray) -> None:
    at = _at(random, data)
    data[at:at] = data[at : at + random.choice((30, 46, 512, 1024))] * random.randint(1, 3)


def _splice(random: Random, data: bytearray) -> None:
    other = random.choice(seeds())
    at, start = _at(random, data), random.randrange(len(other))
    data[at:at] = other[start : start + random.choice((64, 512, len(other)))]


_WOUNDS = (*(_flip,) * 5, *(_overwrite,) * 4, _remove, _repeat, _splice, _cut)


def survive(data: bytes, limits: ArchiveLimits = LIMITS) -> str:
    """A full pass; anything but our own errors comes out, and so does a content too large."""
    try:
        with open_archive(io.BytesIO(data), limits) as archive:
            for member in archive:
                member.name.encode()
                assert 0 <= member.size_bytes < 2**63
                try:
                    size = len(member.read())
                except QuaylineError as error:
                    _check(error)
                else:
                    assert size == member.size_bytes <= limits.max_entry_bytes
    except QuaylineError as error:
        _check(error)
        return str(error.reason)
    return archive.format


def _check(error: QuaylineError) -> None:
    error.message.encode()
    assert error.message.endswith(".")
