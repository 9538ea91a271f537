"""A real corpus, fetched when it is first needed and never committed.

SQL that other projects wrote or generate, from the source distributions of pinned versions: one
folder per dialect with a ``.sqlfluff`` that says which, as people keep them. Exact doubles within
a dialect are left out, so that nothing is won by reuse.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Distribution, version, and the dialect of what its path does not say.
DISTRIBUTIONS = (
    ("ibis-framework", "12.0.0", "duckdb"),
    ("sqllineage", "1.5.9", "sparksql"),
    ("pglast", "8.8", "postgres"),
)
DIALECTS = {
    **{name: name for name in ("athena", "bigquery", "clickhouse", "databricks", "duckdb")},
    **{name: name for name in ("exasol", "flink", "impala", "mysql", "oracle", "postgres")},
    **{name: name for name in ("snowflake", "sqlite", "trino")},
    **{"mssql": "tsql", "pyspark": "sparksql", "risingwave": "postgres"},
}
#: The mixed corpus takes what is at most so large of the regression tests, the big one the others.
MIXED_MOST_BYTES = 1500
BIG_BYTES = (20_000, 60_000)
BIG_FILES = 10
QUICK_FILES = 60
FORM = "2"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The same files twice: extracted for SQLFluff's command, and as the archive for ours."""

    name: str
    folder: Path
    archive: Path
    files: int
    size_bytes: int


def corpora(folder: Path, *, own: Path | None = None, quick: bool = False) -> list[Corpus]:
    """Return the mixed corpus and the one of few big files, made when missing; or your own."""
    if own is not None:
        return [_pack(f"own-{own.name}", own.resolve(), folder)]
    mixed, big = folder / f"mixed-{FORM}", folder / f"big-{FORM}"
    if not mixed.exists():
        _make(folder)
    if not quick:
        return [_pack("mixed", mixed, folder), _pack("big", big, folder)]
    few = folder / f"quick-{FORM}"
    if not few.exists():
        files = sorted(mixed.rglob("*.sql"))
        _write(few, ((path, path.parent.name) for path in files[:: len(files) // QUICK_FILES]))
    return [_pack("quick", few, folder)]


def _pack(name: str, source: Path, folder: Path) -> Corpus:
    files = sorted(path for path in source.rglob("*") if path.is_file())
    sql = [path for path in files if path.suffix == ".sql"]
    size = sum(path.stat().st_size for path in sql)
    archive = folder / f"{name}-{len(sql)}-{size}.zip"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in files:
                out.write(path, path.relative_to(source).as_posix())
    return Corpus(name, source, archive, len(sql), size)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        found = list(_distinct(_found(Path(work))))
        big = sorted(path for path, _ in found if _is_big(path))
        step = max(1, len(big) // BIG_FILES)
        _write(folder / f"big-{FORM}", ((path, "postgres") for path in big[::step][:BIG_FILES]))
        _write(folder / f"mixed-{FORM}", (each for each in found if not _is_large(each[0])))


def _is_large(path: Path) -> bool:
    return path.stat().st_size > MIXED_MOST_BYTES and "regress" in path.as_posix()


def _is_big(path: Path) -> bool:
    return BIG_BYTES[0] <= path.stat().st_size <= BIG_BYTES[1] and _is_large(path)


def _found(work: Path) -> Iterator[tuple[Path, str]]:
    """Yield every SQL file of the distributions and its dialect."""
    for name, version, dialect in DISTRIBUTIONS:
        place = work / name
        place.mkdir()
        _download(name, version, place)
        for packed in place.glob("*.tar.gz"):
            with tarfile.open(packed) as archive:
                wanted = [each for each in archive if each.isfile() and each.name.endswith(".sql")]
                archive.extractall(place, wanted, filter="data")
        for path in sorted(place.rglob("*.sql")):
            parts = [part.lower() for part in path.relative_to(place).parts[1:]]
            told = [DIALECTS[part] for part in parts if part in DIALECTS]
            yield path, told[-1] if told else dialect


def _download(name: str, version: str, place: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", name, "--dest", str(place), f"{name}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{name} {version} cannot be fetched:\n{done.stderr[-2000:]}")


def _distinct(found: Iterable[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    seen: set[tuple[str, bytes]] = set()
    for path, dialect in found:
        mark = (dialect, hashlib.sha256(path.read_bytes()).digest())
        if mark not in seen:
            seen.add(mark)
            yield path, dialect


def _write(target: Path, files: Iterable[tuple[Path, str]]) -> None:
    """Lay the files out, a folder per dialect, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        made = Path(work, "made")
        for path, dialect in files:
            place = made / dialect
            if not place.exists():
                place.mkdir(parents=True)
                (place / ".sqlfluff").write_text(f"[sqlfluff]\ndialect = {dialect}\n")
            shutil.copyfile(path, place / _name(path))
        made.rename(target)


def _name(path: Path) -> str:
    parts = [part for part in path.parts if part not in ("snapshots", "tests")]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "-".join(parts[-4:]))[-180:]
