"""What a submitter may hand over, made into one archive: the form in which sources travel.

An archive goes as it is. Folders, files and mappings become an uncompressed tar of the SQL files
and of the configuration that SQLFluff would read for them.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from pipeline.adapters.archives import write_bundle
from pipeline.adapters.sqlfluff.config import is_config_name
from pipeline.errors import Refused
from pipeline.kinds.sql_lint.configuration import config_tree, sql_suffixes
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.settings import Settings, get_settings
from pipeline.store.spool import PREFIX, temporary_folder

Source = str | Path | bytes | BinaryIO | Mapping[str, bytes] | Sequence[str | Path]

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz")
#: First bytes of ZIP (also empty and spanned) and gzip; tar tells itself at byte 257.
MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b")
SPOOL_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stream:
    """An archive to store and the name that people know it by."""

    file: BinaryIO
    name: str


@contextmanager
def as_stream(
    source: Source,
    name: str | None = None,
    root: Path | None = None,
    *,
    parameters: LintParameters | None = None,
    settings: Settings | None = None,
) -> Iterator[Stream]:
    """Yield the source as one archive; ``Refused`` when it is not there or cannot be read.

    ``root`` is the folder that names are told from and whose configuration counts, as SQLFluff's
    working folder does; by default each folder given is its own root. Which files of a folder
    count is told by its configuration, by the job's ``parameters`` and by the settings.
    """
    select = partial(
        _selected,
        parameters=parameters or LintParameters(),
        settings=settings or get_settings(),
    )
    if isinstance(source, bytes):
        yield from _spooled(name or "upload", lambda out: out.write(source))
    elif isinstance(source, Mapping):
        files = list(source.items())
        yield from _spooled(name or "files", lambda out: write_bundle(out, files))
    elif hasattr(source, "read"):
        yield Stream(cast(BinaryIO, source), name or "upload")
    else:
        given = [source] if isinstance(source, (str, Path)) else list(source)
        yield from _paths([Path(each) for each in given], name, root, select)


def is_archive(path: Path) -> bool:
    """Tell by content, then by name, whether the file is an archive rather than SQL."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    return (
        head.startswith(MAGICS)
        or head[257:262] == b"ustar"
        or path.name.lower().endswith(ARCHIVE_SUFFIXES)
    )


def _paths(
    paths: Sequence[Path],
    name: str | None,
    root: Path | None,
    select: Callable[[Sequence[Path], Path | None], dict[str, Path]],
) -> Iterator[Stream]:
    if not paths:
        raise Refused("There is nothing to lint: no path was given.")
    # Without `..`, which no name in an archive may have.
    paths = [Path(os.path.abspath(path)) for path in paths]
    for path in paths:
        if not os.path.isfile(path) and not os.path.isdir(path):
            raise Refused(f"There is no file or folder {path}.")
    if len(paths) == 1 and paths[0].is_file() and is_archive(paths[0]):
        with paths[0].open("rb") as file:
            yield Stream(file, name or paths[0].name)
        return
    if any(path.is_file() and is_archive(path) for path in paths):
        raise Refused("An archive is a job of its own; submit it alone.")
    try:
        files = sorted(select(paths, root).items())
    except OSError as error:
        raise Refused(f"{error.filename} cannot be read: {error.strerror}.") from error
    title = name or ", ".join(path.name or str(path) for path in paths)[:200]
    yield from _spooled(title, lambda out: write_bundle(out, files))


def _selected(
    paths: Sequence[Path], root: Path | None, *, parameters: LintParameters, settings: Settings
) -> dict[str, Path]:
    """Return archive name -> file: the SQL files below the paths, the configuration above."""
    root = _root(paths, root)
    found: dict[str, Path] = {}
    for path in paths:
        for file in _walk(path):
            found[file.relative_to(root).as_posix()] = file
        for folder in _between(root, path):
            for file in folder.iterdir():
                if is_config_name(file.name) and file.is_file():
                    found[file.relative_to(root).as_posix()] = file
    configs = {name: file for name, file in found.items() if is_config_name(name)}
    tree = config_tree({name: file.read_bytes() for name, file in configs.items()}, parameters)
    suffixes = sql_suffixes(settings, tree)
    exact = {path for path in paths if path.is_file()}
    return {
        name: file
        for name, file in found.items()
        if name in configs
        or file in exact
        or (name.lower().endswith(suffixes) and not tree.ignores(name))
    }


def _root(paths: Sequence[Path], root: Path | None) -> Path:
    folders = [path if path.is_dir() else path.parent for path in paths]
    if root is not None:
        root = Path(os.path.abspath(root))
        if all(folder.is_relative_to(root) for folder in folders):
            return root
    return Path(os.path.commonpath(folders))


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, subfolders, files in os.walk(path):
        subfolders.sort()
        for file in sorted(files):
            whole = Path(folder, file)
            if whole.is_file():
                yield whole


def _between(root: Path, path: Path) -> Iterator[Path]:
    folder = path if path.is_dir() else path.parent
    for part in [folder, *folder.parents]:
        if part.is_relative_to(root):
            yield part


def _spooled(name: str, write: Any) -> Iterator[Stream]:
    folder = str(temporary_folder())
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, prefix=PREFIX, dir=folder) as spool:
        write(spool)
        spool.seek(0)
        yield Stream(cast(BinaryIO, cast(IO[bytes], spool)), PurePosixPath(name).name or name)
