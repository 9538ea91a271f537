"""Names the engine whose results may be cached together."""

import hashlib
from functools import cache
from importlib import metadata

# Raised by hand when this package changes what a result holds.
FORMAT = "q2"
# Parts that decide how text is decoded and templated.
_PARTS = ("jinja2", "markupsafe", "regex", "chardet", "charset-normalizer")


@cache
def engine_version() -> str:
    """For example ``sqlfluff 4.5.0 rs 4.5.0 q1.5f0c2a``; part of the key of the result cache."""
    parts = " ".join(f"{name} {_version(name)}" for name in _PARTS)
    mark = hashlib.sha256(parts.encode()).hexdigest()[:6]
    return f"sqlfluff {_version('sqlfluff')} rs {_version('sqlfluffrs')} {FORMAT}.{mark}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
