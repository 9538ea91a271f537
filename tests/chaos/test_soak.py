"""The soak in short: all kinds of jobs and four kills, then everything is recounted and at rest."""

from pathlib import Path

import pytest

from pipeline.producer import Client
from tests.chaos.conftest import Form, told
from tests.chaos.soak import MORE_DESCRIPTORS, Soak, Told, settings
from tests.support.faults import Fleet
from tests.support.servers import Rabbit, drop_broken_connections

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def test_mixed_jobs_under_kills_lose_nothing_and_leave_nothing(
    form: Form, rabbit_node: Rabbit, vhost: str, database: str, tmp_path: Path
) -> None:
    with Client(settings(tmp_path, database, vhost)) as client:
        fleet = Fleet(client.settings, tmp_path)
        lasts = Told(form.of(20.0, 60.0), kill_every_s=5.0, sample_every_s=1.0)
        found = Soak(lasts, fleet, rabbit_node, client).run()
    drop_broken_connections()
    told(found.recount, "soak in short", **found.figures)
    assert found.figures["kills"] >= 3
    assert found.figures["spared_lost"] == 0
    assert found.figures["more_descriptors"] <= MORE_DESCRIPTORS
    # So much work that a descriptor lost with each batch would stand out.
    assert found.figures["spared_batches"] > 2 * MORE_DESCRIPTORS
