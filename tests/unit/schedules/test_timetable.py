"""The timetable: what rings, how often, and on what."""

from pathlib import Path
from typing import cast

import pytest

from pipeline.core import timetable as form
from pipeline.core.context import Context
from pipeline.core.sweep import sweep
from pipeline.core.timetable import Entry
from pipeline.core.triggers import Cron, Every
from pipeline.errors import Refused
from pipeline.settings import Settings
from pipeline.store.blobs import BlobStore


def entries(folder: Path, **told: object) -> list[Entry]:
    settings = Settings.model_validate({"state_dir": folder, "sweep_s": 0.75, **told})
    return form.entries(Context(settings, cast(BlobStore, None)))


def test_the_sweep_rings_as_often_as_the_settings_say(tmp_path: Path) -> None:
    assert [entry.when for entry in entries(tmp_path) if entry.run is sweep] == [Every(0.75)]


def test_every_entry_rings_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    found = entries(tmp_path)
    assert all(entry.when is not None and entry.sends for entry in found)
    assert len({entry.name for entry in found}) == len(found)
    assert {"sweep", "dead_letters", "schedules"} <= {entry.name for entry in found}


def test_entries_are_changed_and_switched_off_by_a_setting(tmp_path: Path) -> None:
    told = '{"sweep": {"every_s": 30}, "dead_letters": {"cron": "0 2 * * 0"}, "schedules": "off"}'
    found = {entry.name: entry.when for entry in entries(tmp_path, timetable=told)}
    assert (found["sweep"], found["dead_letters"]) == (Every(30.0), Cron("0 2 * * 0"))
    assert found["schedules"] is None
    assert found["monitor_executions"] == Every(2.0)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("{", "it is no JSON"),
        ("[]", "no JSON object"),
        ('{"swep": "off"}', "no entry 'swep'; there are .*sweep"),
        ('{"sweep": "on"}', "sweep has to be"),
        ('{"sweep": {"every_s": 0}}', "sweep has to be"),
        ('{"sweep": {"every_s": "5"}}', "sweep has to be"),
        ('{"sweep": {"every_s": 5, "cron": "* * * * *"}}', "sweep has to be"),
        ('{"sweep": {"every": 5}}', "sweep has to be"),
        ('{"sweep": {"cron": "* * * *"}}', "sweep: The cron expression .* has 4 fields"),
    ],
)
def test_change_that_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, told: str, why: str
) -> None:
    with pytest.raises(Refused, match=f"^The setting QUAYLINE_TIMETABLE cannot be used: .*{why}"):
        entries(tmp_path, timetable=told)
