"""The paths of the command line as the sources of jobs: each archive one, all the rest together."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.adapters.sqlfluff.config import ConfigTree
from pipeline.cli.layers import NAMES, Layer, layers_above
from pipeline.errors import Refused
from pipeline.kinds.sql_lint.configuration import sql_suffixes
from pipeline.kinds.sql_lint.source import is_archive
from pipeline.settings import get_settings

IGNORE_FILE = ".sqlfluffignore"
STDIN_NAME = "stdin.sql"
SPOOL_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class JobSource:
    """What one job is made of, as ``Client.lint`` takes it."""

    source: Any
    name: str
    root: Path | None = None
    base_configs: Sequence[Layer] = field(default=())


@contextmanager
def job_sources(
    paths: Sequence[str], *, local_config: bool = True, stdin_filename: str | None = None
) -> Iterator[list[JobSource]]:
    """Yield the sources of the jobs; ``Refused`` when a path is not there, before any is used."""
    if "-" in paths:
        if len(paths) > 1:
            raise Refused("- (standard input) stands alone.")
        yield [_from_stdin(stdin_filename, local_config)]
        return
    for name in paths:
        if not Path(name).expanduser().exists():
            raise Refused(f"There is no file or folder {name}.")
    # Without `..`, which no name in an archive may have.
    given = [Path(os.path.abspath(Path(name).expanduser())) for name in paths]
    archives = [path for path in given if path.is_file() and is_archive(path)]
    plain = [path for path in given if path not in archives]
    sources = [JobSource(path, path.name) for path in archives]
    yield [*sources, _from_paths(plain, local_config)] if plain else sources


def _from_paths(paths: Sequence[Path], local_config: bool) -> JobSource:
    root = Path.cwd()
    folders = [path if path.is_dir() else path.parent for path in paths]
    if not all(folder.is_relative_to(root) for folder in folders):
        root = Path(os.path.commonpath(folders))
    layers = layers_above(root) if local_config else ()
    return JobSource(list(paths), _title(paths), root, layers)


def _from_stdin(filename: str | None, local_config: bool) -> JobSource:
    """The text under the name it stands for, with the configuration that counts for that name."""
    target = Path(os.path.abspath(filename or STDIN_NAME))
    root = Path.cwd() if target.is_relative_to(Path.cwd()) else target.parent
    files: dict[str, bytes] = {}
    if local_config:
        for folder in (target.parent, *target.parent.parents):
            if folder.is_relative_to(root):
                files.update(_configs_of(folder, root))
    name = target.relative_to(root).as_posix()
    if not name.lower().endswith(sql_suffixes(get_settings(), ConfigTree(files))):
        name += ".sql"
    files[name] = sys.stdin.buffer.read()
    layers = layers_above(root) if local_config else ()
    return JobSource(files, target.name, None, layers)


def _configs_of(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    for name in NAMES:
        file = folder / name
        if file.is_file():
            yield file.relative_to(root).as_posix(), file.read_bytes()


def _title(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
