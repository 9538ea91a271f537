"""A lint pool, and what a test needs to ask it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.adapters.sqlfluff import ConfigTree, LintPool, LintReply, LintWork
from pipeline.adapters.sqlfluff.config import Effective

CORPUS = Path(__file__).parent / "corpus"

Lint = Callable[..., LintReply]


def effective(overrides: dict[str, object] | None = None) -> Effective:
    """The configuration of a job with nothing but a command line."""
    tree = ConfigTree({}, overrides={"dialect": "ansi"} | (overrides or {}))
    return tree.effective("x.sql")


def work(sql: str | bytes, config: Effective | None = None, *, fix: bool = False) -> LintWork:
    """One file to lint."""
    data = sql if isinstance(sql, bytes) else sql.encode()
    config = config or effective()
    return LintWork("secret/name.sql", data, config.document, config.digest, fix)


@pytest.fixture(scope="module")
def pool() -> Iterator[LintPool]:
    """Two children with short budgets."""
    pool = LintPool(2, time_limit_s=8, memory_limit_bytes=512 * 1024**2)
    yield pool
    pool.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A copy of the sample files, with those that are no UTF-8 written beside them."""
    folder = tmp_path / "corpus"
    shutil.copytree(CORPUS, folder)
    chinese = (folder / "ansi/chinese.sql").read_text(encoding="utf-8")
    latin = "-- données relatives à l'été, déjà vérifiées\nSELECT a,  'é' as b\nfrom t\n"
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gbk", "gb18030"):
        (folder / "ansi" / f"chinese_{encoding}.sql").write_bytes(chinese.encode(encoding))
    for encoding in ("latin-1", "cp1252"):
        (folder / "ansi" / f"latin_{encoding}.sql").write_bytes(latin.encode(encoding))
    return folder
