"""Clients come and go in one process."""

from pathlib import Path

from pipeline import Client
from pipeline.settings import Settings


def test_second_client_of_a_process_works_as_the_first(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Client(Settings(state_dir=tmp_path / name)) as client:
            job = client.lint({"a.sql": b"SELECT 1\n"}, dialect="ansi").wait(60)
            assert job.status == "succeeded"
