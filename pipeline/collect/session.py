"""One run from its config to its result, with heartbeats beside it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.collect.config.document import TaskDocument, read_document
from pipeline.collect.environment import Environment
from pipeline.collect.errors import CollectError, ConfigRefused, Stopped
from pipeline.collect.heartbeat import Heartbeat
from pipeline.collect.progress import Progress
from pipeline.collect.result import Result, write_result
from pipeline.collect.secrets import Redaction
from pipeline.collect.state import remove_state
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 143


class Session:
    """Runs one task.

    ``is_ending`` from when its result is known, ``exit_code`` once that is written and told.
    """

    def __init__(self, environment: Environment, redaction: Redaction, stop: Stop) -> None:
        self.exit_code: int | None = None
        self.is_ending = False
        self._environment = environment
        self._redaction = redaction
        self._stop = stop
        self._progress = Progress()
        self._heartbeat = Heartbeat(environment, self._progress, stop)
        self._folder = environment.output_dir
        self._started_at = time.monotonic()
        token = urlsplit(environment.api_base_url or "").path.strip("/")
        redaction.hide(token)

    def run(self) -> None:
        """The task has ended, one way or the other, and whoever could be told it knows."""
        self._heartbeat.start()
        code, result = self._outcome(self._collected)
        self._end(code, result)
        if code == DONE and self._folder is not None:
            remove_state(self._folder)
        self.exit_code = code

    def abandon(self) -> None:
        """The result says that the work was stopped, although it hangs; its state is complete."""
        snapshot = self._progress.snapshot()
        self._end(STOPPED, Result(False, {"progress": snapshot}, self._stopped()))
        self.exit_code = STOPPED

    def _stopped(self) -> str:
        return f"stopped: {self._stop.reason}"

    def _collected(self) -> dict[str, Any]:
        document = read_document(self._environment.config_path)
        self._redaction.learn(document)
        self._folder = self._folder or Path(document.storage_config.output_path)
        self._folder.mkdir(parents=True, exist_ok=True)
        logger.info("Task %s (%s)", document.task_name, document.task_type)
        execution_id = self._environment.execution_id
        return collect(document, self._folder, execution_id, self._progress, self._stop)

    def _outcome(self, work: Callable[[], dict[str, Any]]) -> tuple[int, Result]:
        try:
            data = work()
            logger.info("Done: %d records", data.get("processed_records", 0))
            return DONE, Result(True, self._timed(data))
        except Stopped as error:
            return STOPPED, Result(False, self._timed(error.result_data), self._stopped())
        except ConfigRefused as error:
            code, data, told = REFUSED, {}, str(error)
        except CollectError as error:
            code, data, told = FAILED, error.result_data, str(error)
        except OSError as error:
            code, data, told = FAILED, {}, f"The system refused: {error}."
        except Exception as error:
            # The one place where a defect becomes a result.
            logger.exception("The collector has a defect")
            code, data, told = FAILED, {}, f"The collector has a defect ({type(error).__name__})."
        told = self._redaction.clean(told)
        logger.error("%s", told)
        return code, Result(False, self._timed(data), told)

    def _timed(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "execution_time_s": round(time.monotonic() - self._started_at, 3)}

    def _end(self, code: int, result: Result) -> None:
        self.is_ending = True
        if self._folder is not None:
            try:
                write_result(self._folder, result)
            except OSError as error:
                logger.error("The result cannot be written: %s", error)
        self._progress.stage("finished")
        self._heartbeat.complete(result)
        logger.info("The exit code is %d", code)


def collect(
    document: TaskDocument, folder: Path, execution_id: str, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Return the figures of the finished work; only the libraries of its type are loaded."""
    prefix = document.storage_config.filename_prefix
    if document.crawler_config is not None:
        from pipeline.collect.crawler.run import crawl

        return crawl(
            document.crawler_config, document.base_url, folder, prefix, execution_id, progress, stop
        )
    if document.api_config is not None:
        from pipeline.collect.api.run import collect_api

        return collect_api(
            document.api_config, document.base_url, folder, prefix, execution_id, progress, stop
        )
    from pipeline.collect.database.run import synchronise

    assert document.database_config is not None
    return synchronise(document.database_config, execution_id, progress, stop)
