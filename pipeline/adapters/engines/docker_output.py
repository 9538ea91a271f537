"""The files that a container left, out of the tar archive that Docker makes of them."""

import logging
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from pipeline.adapters.engines import output_names
from pipeline.adapters.engines.docker_daemon import Daemon
from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.adapters.engines.model import OUTPUT_FOLDER

log = logging.getLogger(__name__)

#: A tar archive ends with two blocks of zeros.
_END = bytes(2 * tarfile.BLOCKSIZE)


def read(
    daemon: Daemon, container: str, *, limit_bytes: int, limit_files: int
) -> Iterator[tuple[str, int, BinaryIO]]:
    """Yield path, size and content of the regular files in the output folder."""
    try:
        with daemon.streamed(f"/containers/{container}/archive", {"path": OUTPUT_FOLDER}) as body:
            yield from _files(_Whole(body), limit_bytes, limit_files)
    except tarfile.TarError as error:
        raise EngineUnavailable(f"The output could not be read: {error}.") from error


def _files(
    stream: "_Whole", limit_bytes: int, limit_files: int
) -> Iterator[tuple[str, int, BinaryIO]]:
    bounds = output_names.Bounds(limit_bytes, limit_files)
    left_out = 0
    with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|") as archive:
        for entry in archive:
            archive.members.clear()  # type: ignore[attr-defined]
            if entry.isdir():
                continue
            # The first component is the folder itself.
            path = entry.name.partition("/")[2]
            if not entry.isreg() or not output_names.is_safe(path):
                left_out += 1
                continue
            bounds.take(entry.size)
            content = archive.extractfile(entry)
            assert content is not None
            yield path, entry.size, cast(BinaryIO, content)
    stream.finish()
    if left_out:
        log.warning(
            "Output was left out: links, devices or unsafe names", extra={"count": left_out}
        )


class _Whole:
    """A stream that knows whether its end was an archive's end, which ``tarfile`` does not ask."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._tail = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        piece: bytes = self._body.read(size)
        self._tail = (self._tail + piece)[-len(_END) :]
        return piece

    def finish(self) -> None:
        """Read what is left; raise when the archive broke off."""
        while self.read(64 * 1024):
            pass
        if self._tail != _END:
            raise tarfile.ReadError("it broke off")
