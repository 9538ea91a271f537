"""Every file of a corpus is reported exactly as ``sqlfluff lint`` reports it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.sqlfluff import ConfigTree, LintPool, LintWork, is_config_name

Report = dict[str, tuple[list[dict[str, Any]], dict[str, int]]]

OPTIONS: list[dict[str, str]] = [
    {},
    {"templater": "raw"},
    {"dialect": "snowflake", "rules": "layout,CP01,AL*", "exclude_rules": "LT02"},
    {"ignore": "templating,parsing", "disable_noqa": "True"},
]


def _by_command(corpus: Path, options: dict[str, str], size_limit_off: Path) -> Report:
    command = [sys.executable, "-m", "sqlfluff", "lint", ".", "--format", "json"]
    command += ["--processes", "2", "--config", str(size_limit_off)]
    for key, value in options.items():
        command += [f"--{key.replace('_', '-')}"] + ([] if value == "True" else [value])
    done = subprocess.run(
        command,
        cwd=corpus,
        capture_output=True,
        timeout=300,
        env={**os.environ, "HOME": str(corpus.parent), "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 1, done.stderr.decode()[-2000:]
    return {
        one["filepath"]: (one["violations"], one["statistics"]) for one in json.loads(done.stdout)
    }


def _by_pool(corpus: Path, options: dict[str, str], pool: LintPool) -> Report:
    files = {
        path.relative_to(corpus).as_posix(): path.read_bytes()
        for path in corpus.rglob("*")
        if path.is_file()
    }
    configs = {path: data for path, data in files.items() if is_config_name(path)}
    overrides = {key: value == "True" or value for key, value in options.items()}
    tree = ConfigTree(configs, overrides=overrides)
    assert tree.refused == []
    names = [
        path
        for path in files
        if path.lower().endswith(tree.sql_file_exts) and not tree.ignores(path)
    ]

    def lint(path: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
        config = tree.effective(path)
        reply = pool.lint(LintWork(path, files[path], config.document, config.digest))
        assert reply.reason is None, (path, reply.message)
        assert reply.result is not None
        for violation in reply.result["violations"]:
            assert violation.pop("fixable") is bool(violation.get("fixes"))
        return reply.result["violations"], reply.result["statistics"]

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(names, threads.map(lint, names), strict=True))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda one: ",".join(one) or "as it is")
def test_violations_and_statistics_equal_those_of_the_command(
    corpus: Path, tmp_path: Path, options: dict[str, str]
):
    size_limit_off = tmp_path / "size_limit_off.cfg"
    size_limit_off.write_text("[sqlfluff]\nlarge_file_skip_byte_limit = 0\n")
    pool = LintPool(2, time_limit_s=120)
    try:
        ours = _by_pool(corpus, options, pool)
    finally:
        pool.close()
    theirs = _by_command(corpus, options, size_limit_off)

    assert ours.keys() == theirs.keys()
    for path, report in theirs.items():
        assert ours[path] == report, path
