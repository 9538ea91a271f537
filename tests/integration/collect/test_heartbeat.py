"""What a collector tells the service while it works, and what it makes of the answers."""

import json
import signal
import threading
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.web.problems import answer as problem
from tests.integration.collect.collectors import EXECUTION_ID, Collector, crawler
from tests.integration.collect.local_server import Asked, LocalServer, Reply, html, jsonic
from tests.support.waiting import eventually

TOKEN = "s3cret-t0ken"
HEARTBEAT = f"/t/{TOKEN}/api/v1/monitoring/heartbeat"
COMPLETION = f"/t/{TOKEN}/api/v1/monitoring/completion"


@pytest.fixture
def gate() -> threading.Event:
    """Holds back the page at ``/slow``."""
    return threading.Event()


@pytest.fixture
def run(
    site: LocalServer, service: LocalServer, gate: threading.Event, tmp_path: Path
) -> Collector:
    """A crawl of a page that is there and of one that hangs, told to a service that agrees."""
    site.routes["/quick"] = lambda asked: html("<h1>quick</h1>")
    site.routes["/slow"] = lambda asked: html("<h1>slow</h1>", gate=gate)
    service.otherwise = lambda asked: jsonic({"status": "ok"})
    urls = [f"{site.url}/quick", f"{site.url}/slow"]
    told = crawler(tmp_path, {"target_urls": urls, "data_fields": {"title": "h1"}})
    told.environment = {
        "API_BASE_URL": f"{service.url}/t/{TOKEN}/",
        "HEARTBEAT_INTERVAL_S": "1.2",
    }
    return told


def test_service_hears_of_progress_and_of_the_end(
    run: Collector, service: LocalServer, gate: threading.Event
) -> None:
    with run.started() as process:
        eventually(lambda: _records(service) == 1, within_s=20)
        gate.set()
        out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    first = service.bodies(HEARTBEAT)[0]
    assert set(first) == {"execution_id", "container_name", "status", "progress", "timestamp"}
    assert (first["execution_id"], first["container_name"]) == (EXECUTION_ID, "task-container")
    assert first["status"] == "running"
    assert isinstance(first["timestamp"], int)
    (end,) = service.bodies(COMPLETION)
    assert (end["success"], end["error_message"]) == (True, None)
    assert end["result_data"]["processed_records"] == 2
    assert end["execution_id"] == EXECUTION_ID
    assert service.paths()[-1] == COMPLETION
    assert TOKEN not in out + err
    progress = service.bodies(HEARTBEAT)[-1]["progress"]
    assert progress["stage"] in ("crawling", "writing output", "finished")


def test_beats_are_at_least_a_second_apart(run: Collector, service: LocalServer) -> None:
    with run.started() as process:
        eventually(lambda: len(service.bodies(HEARTBEAT)) >= 4, within_s=20)
        run.kill(process)

    moments = [each.at for each in service.asked]
    assert all(b - a > 0.9 for a, b in pairwise(moments))


def test_term_keeps_what_there_is_and_ends_with_143(run: Collector, service: LocalServer) -> None:
    with run.started() as process:
        eventually(lambda: _records(service) == 1, within_s=20)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=9)

    assert process.returncode == 143, err
    assert [each["title"] for each in run.records()] == ["quick"]
    (end,) = service.bodies(COMPLETION)
    assert end["success"] is False
    assert end["error_message"] == "stopped: stopped by SIGTERM"
    assert end["result_data"]["processed_records"] == 1
    assert run.result()["error_message"] == end["error_message"]


def test_stopped_crawl_goes_on_where_it_was(
    run: Collector, service: LocalServer, site: LocalServer, gate: threading.Event
) -> None:
    with run.started() as process:
        eventually(lambda: _records(service) == 1, within_s=20)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=9)
    gate.set()

    code, said = run.run()

    assert code == 0, said
    assert sorted(each["title"] for each in run.records()) == ["quick", "slow"]
    assert site.paths().count("/quick") == 1


def test_cancel_in_an_answer_stops_the_work(run: Collector, service: LocalServer) -> None:
    service.routes[HEARTBEAT] = lambda asked: jsonic({"status": "ok", "cancel": asked.times >= 2})

    code, said = run.run()

    assert code == 143, said
    assert service.bodies(COMPLETION)[0]["error_message"] == "stopped: cancelled"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_execution_that_is_not_ours_any_more_is_left(
    run: Collector, service: LocalServer, status: int
) -> None:
    told = problem(status, "The token is not one of this execution.", "forbidden")
    service.otherwise = lambda asked: Reply(bytes(told.body), status=status)

    code, said = run.run()

    assert code == 143, said
    assert service.paths() == [HEARTBEAT]
    assert run.result()["success"] is False


def test_refusal_of_something_before_the_service_passes(
    run: Collector, service: LocalServer, gate: threading.Event
) -> None:
    """As of an ingress while the service is put up anew."""

    def shaky(asked: Asked) -> Reply:
        return Reply(b"<h1>not found</h1>", 404) if asked.times == 1 else jsonic({"status": "ok"})

    service.routes[HEARTBEAT] = service.routes[COMPLETION] = shaky
    with run.started() as process:
        eventually(lambda: len(service.bodies(HEARTBEAT)) >= 2, within_s=20)
        gate.set()
        _, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert len(service.bodies(COMPLETION)) == 2


def test_token_goes_through_no_proxy(
    run: Collector, service: LocalServer, site: LocalServer, gate: threading.Event
) -> None:
    gate.set()
    run.environment["HTTP_PROXY"] = site.url

    code, said = run.run()

    assert code == 0, said
    assert len(service.bodies(COMPLETION)) == 1
    assert not [path for path in site.paths() if TOKEN in path]


@pytest.mark.parametrize("status", [302, 422])
def test_refused_beat_changes_nothing_for_the_work(
    run: Collector, service: LocalServer, gate: threading.Event, status: int
) -> None:
    service.routes[HEARTBEAT] = lambda asked: Reply(status=status)
    gate.set()

    code, said = run.run()

    assert code == 0, said
    assert len(service.bodies(COMPLETION)) == 1


def test_work_goes_on_while_the_service_is_away_and_the_end_is_told_later(
    run: Collector, service: LocalServer, gate: threading.Event
) -> None:
    service.stop()
    gate.set()
    with run.started() as process:
        eventually((run.output / "result.json").exists, within_s=20)
        assert process.poll() is None
        service.start()
        _, err = process.communicate(timeout=40)

    assert process.returncode == 0, err
    (end,) = service.bodies(COMPLETION)
    assert end["success"] is True


def test_completion_is_tried_again_after_errors(
    run: Collector, service: LocalServer, gate: threading.Event
) -> None:
    def shaky(asked: Asked) -> Reply:
        return Reply(status=503) if asked.times < 3 else jsonic({"status": "ok"})

    service.routes[COMPLETION] = shaky
    gate.set()

    code, said = run.run()

    assert code == 0, said
    assert len(service.bodies(COMPLETION)) == 3


def test_term_while_the_service_is_away_ends_soon(run: Collector, service: LocalServer) -> None:
    service.stop()
    with run.started() as process:
        eventually((run.output / ".collect-state.sqlite3").exists, within_s=20)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=9.5)

    assert process.returncode == 143, err
    assert run.result()["error_message"] == "stopped: stopped by SIGTERM"


def test_without_a_service_the_files_tell(
    run: Collector, gate: threading.Event, service: LocalServer
) -> None:
    del run.environment["API_BASE_URL"]
    gate.set()

    code, said = run.run()

    assert code == 0, said
    assert service.paths() == []
    assert set(run.result()) == {"success", "result_data", "error_message"}


def test_refused_config_is_told_with_its_place(run: Collector, service: LocalServer) -> None:
    run.document["crawler_config"]["max_pagse"] = 1

    code, said = run.run()

    assert code == 2, said
    (end,) = service.bodies(COMPLETION)
    assert "crawler_config.max_pagse" in end["error_message"]
    assert "Traceback" not in said


def test_environment_that_cannot_be_used_is_refused(run: Collector, service: LocalServer) -> None:
    run.environment["TASK_EXECUTION_ID"] = "7"

    code, said = run.run()

    assert code == 2
    assert "TASK_EXECUTION_ID" in said
    assert service.asked == []


def test_finished_run_started_again_only_says_so_again(
    run: Collector, service: LocalServer, site: LocalServer, gate: threading.Event
) -> None:
    """The process was killed between its result and its completion."""
    gate.set()
    service.routes[COMPLETION] = lambda asked: Reply(status=503)
    with run.started() as process:
        eventually(lambda: service.bodies(COMPLETION), within_s=20)
        run.kill(process)
    asked = len(site.paths())
    service.routes[COMPLETION] = lambda asked: jsonic({"status": "ok"})

    code, said = run.run()

    assert code == 0, said
    assert len(site.paths()) == asked
    assert service.bodies(COMPLETION)[-1]["result_data"]["processed_records"] == 2
    assert len(run.records()) == 2


def test_output_folder_that_cannot_be_written_is_a_failure(run: Collector, tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file")

    code, said = run.run()

    assert code == 1
    assert "Traceback" not in said


def _records(service: LocalServer) -> int:
    beats = service.bodies(HEARTBEAT)
    return int(beats[-1]["progress"].get("records", 0)) if beats else 0


def test_every_body_is_json_that_any_reader_takes(
    run: Collector, service: LocalServer, gate: threading.Event
) -> None:
    gate.set()

    run.run()

    for asked in service.asked:
        json.loads(asked.body, parse_constant=lambda name: pytest.fail(name))
        UUID(asked.json()["execution_id"])
