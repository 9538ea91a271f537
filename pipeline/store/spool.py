"""Files that are being written: nothing is left of one whose writer is killed.

Such a file has no name until it is whole. Where the file system has no nameless files (some network
file systems) it has one that begins with ``PREFIX`` and its writer's lock, so that ``abandoned``
finds those whose writer is gone.
"""

import errno
import fcntl
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

#: What the name of a file begins with that has to have one while it is written.
PREFIX = ".quayline-"

#: What a file system answers that has no nameless files, or no second names.
_HAS_NONE = (errno.EISDIR, errno.EOPNOTSUPP)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def spooled(folder: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a file to write and read, in the folder or in the system's temporary one.

    After the block only what ``publish`` or ``add`` made of it is there.
    """
    place = folder or temporary_folder()
    file = _open_nameless(place) or _open_named(place)
    try:
        with file:
            yield file
    finally:
        if isinstance(file.name, str):
            Path(file.name).unlink(missing_ok=True)


def publish(file: BinaryIO, path: Path) -> None:
    """Let the file's content stand at the path, whole, whatever stood there before.

    Only where something did, a killed writer can leave the file under a name of ours beside it.
    """
    if add(file, path):
        return
    name = _new_name(path.parent)
    _link(file, name)
    try:
        name.replace(path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def add(file: BinaryIO, path: Path) -> bool:
    """Let the file's content stand at the path, whole; False when something stands there."""
    file.flush()
    os.fsync(file.fileno())
    try:
        _link(file, path)
    except FileExistsError:
        return False
    return True


def readable(file: BinaryIO) -> str:
    """Return a path by which this process reads the file from its beginning."""
    file.flush()
    return file.name if isinstance(file.name, str) else _descriptor(file)


def temporary_folder() -> Path:
    """Return the system's temporary folder.

    Python's own way to it tries the candidates with a named file each, which a SIGKILL may leave.
    """
    told = (tempfile.tempdir, *map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp")  # noqa: S108
    for folder in filter(None, told):
        if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    return Path(tempfile.gettempdir())


def abandoned(folder: Path, *, before: float) -> Iterator[Path]:
    """Yield this user's named spools in the folder, last written before then, whose writer is
    gone."""
    with suppress(OSError):
        for path in sorted(folder.glob(f"{PREFIX}*")):
            with suppress(OSError):
                if path.lstat().st_uid == os.geteuid() and is_free(path, before=before):
                    yield path


def is_free(path: Path, *, before: float) -> bool:
    """Tell whether it is a plain file, last written before then, that nobody holds."""
    with _opened(path) as descriptor:
        return _is_free(descriptor, before)


def remove_free(path: Path, *, before: float) -> bool:
    """Remove the file if it ``is_free``, so that nobody can take hold of it in between."""
    with _opened(path) as descriptor:
        if not _is_free(descriptor, before):
            return False
        path.unlink()
        return True


def renew(path: Path) -> bool:
    """Make the file young, so that no ``remove_free`` takes it; False when it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Who holds it alone is about to remove it, which takes a moment.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.utime(descriptor)
        return os.fstat(descriptor).st_nlink > 0
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    # For writing, as some network file systems give no lock else.
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_free(descriptor: int, before: float) -> bool:
    """Take the lock, if nobody has it, and look then: whoever renews the file waits for us."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    told = os.fstat(descriptor)
    return stat.S_ISREG(told.st_mode) and told.st_nlink > 0 and told.st_mtime < before


def _open_nameless(folder: Path) -> BinaryIO | None:
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        return open(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), "w+b")
    except OSError as error:
        if error.errno in _HAS_NONE:
            return None
        raise


def _open_named(folder: Path) -> BinaryIO:
    name = str(_new_name(folder))
    file = open(name, "x+b", opener=_open_private)  # noqa: SIM115 - the caller closes it
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return cast(BinaryIO, file)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _new_name(folder: Path) -> Path:
    return folder / f"{PREFIX}{uuid.uuid4().hex}"


def _link(file: BinaryIO, path: Path) -> None:
    """Give the file the name; a file system without second names has it renamed."""
    if not isinstance(file.name, str):
        # With a folder's descriptor given, link() follows the symbolic link that /proc shows.
        os.link(_descriptor(file), path, src_dir_fd=file.fileno())
        return
    try:
        os.link(file.name, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(file.name, path)


def _descriptor(file: BinaryIO) -> str:
    return f"/proc/self/fd/{file.fileno()}"
