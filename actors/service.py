"""Doorbells of services."""

import logging
import threading
import uuid

import dramatiq
from dramatiq.brokers.stub import StubBroker

from pipeline import broker
from pipeline.broker import MINUTE_MS
from pipeline.core import planning, runner
from pipeline.core.context import current_context
from pipeline.errors import QuaylineError
from pipeline.signatures import BatchId, JobId

log = logging.getLogger(__name__)

QUEUES = {"fast_tasks", "heavy_tasks"}
#: How often a living worker says what it offers, in seconds: far less than services are kept.
EVERY_S = 86_400.0


class Announcer(dramatiq.Middleware):
    """A worker of these queues says at its start and once a day what it offers; nothing waits for
    that. So what is offered by one that has nothing to do is not taken for gone."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Say it; an embedded process has done so when it submits, and does it a day later."""
        takes = worker.consumer_whitelist or QUEUES
        if QUEUES & set(takes):
            self._stopped = threading.Event()
            is_said = isinstance(broker, StubBroker)
            told = (self._stopped, is_said)
            threading.Thread(target=_go_on, args=told, name="services", daemon=True).start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """It is offered no more."""
        self._stopped.set()


def _go_on(stopped: threading.Event, is_said: bool) -> None:
    if not is_said:
        _announce()
    while not stopped.wait(EVERY_S):
        _announce()


def _announce() -> None:
    from pipeline.kinds.service import offers, registry

    try:
        registry.load(current_context().settings.service_module_list)
        offers.announce_now_and_then()
    except QuaylineError as error:
        log.warning("What is offered is not written", extra={"error": error.message})


broker.current_broker().add_middleware(Announcer())


@dramatiq.actor(queue_name="fast_tasks", time_limit=5 * MINUTE_MS)
def plan_service(job_id: JobId) -> None:
    """Give a job of light calls its tasks."""
    planning.plan_next("service", current_context())


@dramatiq.actor(queue_name="fast_tasks", time_limit=5 * MINUTE_MS)
def plan_heavy_service(job_id: JobId) -> None:
    """Give a job of heavy calls its tasks."""
    planning.plan_next("heavy_service", current_context())


@dramatiq.actor(queue_name="fast_tasks", time_limit=20 * MINUTE_MS)
def execute_task(job_id: JobId, batch: BatchId) -> None:
    """Make one batch of light calls."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())


@dramatiq.actor(queue_name="heavy_tasks", time_limit=25 * MINUTE_MS)
def execute_heavy_task(job_id: JobId, batch: BatchId) -> None:
    """Make one heavy call, in a child process."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())
