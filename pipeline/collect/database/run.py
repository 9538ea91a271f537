"""A whole synchronisation: from the last position to the checks, gone on with after a kill."""

import logging
from contextlib import ExitStack, closing
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from pipeline.collect.config.database import DatabaseConfig
from pipeline.collect.database.connection import DatabaseTrouble
from pipeline.collect.database.opening import open_database
from pipeline.collect.database.synchronisation import Synchronisation
from pipeline.collect.errors import CollectFailed, Stopped
from pipeline.collect.progress import Progress
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_LONGEST_WAIT_S = 20.0


def synchronise(
    config: DatabaseConfig, execution_id: str, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Return the figures of a finished synchronisation.

    Connections that break are made again, and the work goes on from the target's ledger. Raises
    ``CollectFailed`` where the databases refuse, or a check fails, and ``Stopped``.
    """
    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, DatabaseTrouble) and error.passing
        ),
        wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_S),
        stop=stop_after_attempt(_ATTEMPTS) | stop_when_event_set(stop.event),
        sleep=sleep_using_event(stop.event),
        before_sleep=_say,
        reraise=True,
    )
    try:
        return retrying(_pass, config, execution_id, progress, stop)
    except DatabaseTrouble as error:
        if stop.requested:
            raise Stopped(stop.reason) from None
        raise CollectFailed(f"{str(error).rstrip('.')}.") from error


def _pass(
    config: DatabaseConfig, execution_id: str, progress: Progress, stop: Stop
) -> dict[str, Any]:
    progress.stage("connecting")
    with ExitStack() as stack:
        source = stack.enter_context(closing(open_database(config.source, config.timeout_s)))
        target = stack.enter_context(closing(open_database(config.target, config.timeout_s)))
        work = Synchronisation(config, execution_id, source, target, progress, stop)
        try:
            return work.run()
        except (CollectFailed, Stopped) as error:
            error.result_data = error.result_data or work.figures()
            raise


def _say(call: RetryCallState) -> None:
    error = call.outcome.exception() if call.outcome else None
    logger.warning("%s; trying again in %.1f s", error, call.upcoming_sleep)
