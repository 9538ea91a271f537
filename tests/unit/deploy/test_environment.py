"""``deploy/environment.sample``: every setting, commented out, with its default."""

import re
from pathlib import Path

import pytest

from pipeline.cli.settings_table import sample
from pipeline.settings import Settings

SAMPLE = Path(__file__).parents[3] / "deploy" / "environment.sample"
LINE = re.compile(r"#(QUAYLINE_[A-Z0-9_]+)=(.*)")


def test_the_file_is_what_the_command_writes() -> None:
    again = "quayline settings --sample > deploy/environment.sample"
    assert SAMPLE.read_text(encoding="utf-8") == sample(), again


def test_uncommented_it_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Settings()
    told = LINE.findall(SAMPLE.read_text(encoding="utf-8"))
    assert len(told) == len(Settings.model_fields)
    for name, value in told:
        monkeypatch.setenv(name, value)
    assert Settings() == before


def test_every_other_line_is_a_comment_or_empty() -> None:
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        assert not line or LINE.fullmatch(line) or line.startswith("# "), line
