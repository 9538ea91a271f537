"""The timetable: what rings, how often, and on what."""

from pathlib import Path
from typing import cast

import pytest

from pipeline.core.context import Context
from pipeline.core.sweep import sweep
from pipeline.settings import Settings
from pipeline.store.blobs import BlobStore
from schedules.timetable import Entry, timetable


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    settings = Settings(state_dir=tmp_path, sweep_s=0.75)
    return timetable(Context(settings, cast(BlobStore, None)))


def test_the_sweep_rings_as_often_as_the_settings_say(entries: list[Entry]) -> None:
    assert [entry.every_s for entry in entries if entry.run is sweep] == [0.75]


def test_every_entry_rings_and_has_a_name_of_its_own(entries: list[Entry]) -> None:
    assert all(entry.every_s > 0 for entry in entries)
    assert len({entry.name for entry in entries}) == len(entries)
