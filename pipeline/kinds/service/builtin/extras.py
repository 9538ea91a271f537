"""Libraries that an extra of the package brings."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import Permanent


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import in the block what the extra brings; ``Permanent`` says what to install."""
    try:
        yield
    except ImportError as error:
        raise Permanent(
            f"This worker lacks {error.name}: pip install 'quayline[{extra}]'."
        ) from None
