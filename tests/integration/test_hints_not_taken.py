"""A hint that RabbitMQ does not take is taken back, though nobody waited for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import broker
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.dispatch import dispatch
from pipeline.settings import Settings
from pipeline.states import JobState
from pipeline.store.database import execute, session
from tests.support import factories as make
from tests.support.waiting import eventually

#: Nobody listens there.
NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    """Settings with a broker that is away."""
    return Settings(state_dir=tmp_path, database_url=database, broker_url=NOWHERE)


@pytest.fixture
def away(settings: Settings) -> Iterator[Context]:
    """A context whose broker is away."""
    yield open_context(settings)
    close_context()


def test_batch_that_the_broker_did_not_take_is_sent_when_it_is_back(
    away: Context, settings: Settings, vhost: str
) -> None:
    job_id = make.planned_job(away, tasks=3)
    eventually(lambda: make.batches(job_id) == [], within_s=10)
    with session():
        assert execute("SELECT count(*) FROM tasks WHERE hinted_at IS NOT NULL") == [(0,)]
    close_context()
    back = open_context(settings.model_copy(update={"broker_url": vhost}))
    assert dispatch("trivial", back) == 1
    eventually(lambda: broker.waiting("trivial_work") == 1, within_s=10)
    [batch] = make.batches(job_id)
    make.work_off(job_id, back)
    with session():
        assert execute("SELECT DISTINCT batch FROM tasks") == [(batch,)]
        assert execute("SELECT state FROM jobs") == [(JobState.SUCCEEDED,)]
