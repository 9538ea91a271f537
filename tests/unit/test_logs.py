"""Log lines: one JSON object each, whatever a file is called, with the fields of the block."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import logs

HOSTILE = 'a\nb\r\n"c"\\\t\0\x1b[2J\u2028é\ud800'


@pytest.fixture
def stream() -> io.StringIO:
    """What the logger of this test has written."""
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO) -> Iterator[logging.Logger]:
    """A logger that writes JSON lines to the stream."""
    logger = logging.getLogger("quayline.test")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger without pytest's own handlers, put back afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers[:] = []
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_line_is_one_json_object(log: logging.Logger, stream: io.StringIO) -> None:
    log.info("Linted", extra={"files": 3, "rate": 1.5})
    log.warning("Late by %s s", 2)
    first, second = lines(stream)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        **{"level": "info", "logger": "quayline.test", "event": "Linted"},
        **{"files": 3, "rate": 1.5},
    }
    assert (second["level"], second["event"]) == ("warning", "Late by 2 s")


def test_hostile_text_breaks_no_line(log: logging.Logger, stream: io.StringIO) -> None:
    log.info("Read", extra={"path": HOSTILE, "names": [HOSTILE], "raw": b"\xff\n"})
    [line] = lines(stream)
    assert line["path"] == HOSTILE
    assert line["names"] == [HOSTILE]


def test_what_json_does_not_know_is_told_as_text(log: logging.Logger, stream: io.StringIO) -> None:
    log.info("Odd", extra={"error": ValueError("no"), "kinds": {1}})
    assert lines(stream)[0]["error"] == "no"


def test_bound_fields_stand_on_every_line_of_the_block(
    log: logging.Logger, stream: io.StringIO
) -> None:
    with logs.bind(job_id="j"):
        with logs.bind(task_id="t"):
            log.info("in")
        log.info("between", extra={"task_id": "own"})
    log.info("out")
    told = [(line.get("job_id"), line.get("task_id")) for line in lines(stream)]
    assert told == [("j", "t"), ("j", "own"), (None, None)]


def test_fields_are_unbound_when_the_block_fails(log: logging.Logger, stream: io.StringIO) -> None:
    with pytest.raises(ValueError, match="no"), logs.bind(job_id="j"):
        raise ValueError("no")
    log.info("out")
    assert "job_id" not in lines(stream)[0]


def test_an_exceptions_text_is_in_its_line(log: logging.Logger, stream: io.StringIO) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("Failed")
    [line] = lines(stream)
    assert line["event"] == "Failed"
    assert line["error"].startswith("Traceback")
    assert HOSTILE in line["error"]


def test_text_lines_hold_level_event_and_fields() -> None:
    record = logging.makeLogRecord({"msg": "Linted", "levelname": "INFO", "files": 3})
    with logs.bind(job_id="j"):
        assert logs.TextFormatter().format(record)[9:] == "info    Linted job_id=j files=3"


def test_hostile_text_breaks_no_text_line_and_moves_no_cursor() -> None:
    record = logging.makeLogRecord({"msg": "Read", "levelname": "INFO", "path": HOSTILE, "n": 1})
    line = logs.TextFormatter().format(record)
    assert line.isprintable()
    assert line.endswith("\\ud800' n=1")


def test_text_lines_end_with_the_exception() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.makeLogRecord({"msg": "Failed", "exc_info": sys.exc_info()})
    first, *_, last = logs.TextFormatter().format(record).splitlines()
    assert first.endswith("Failed")
    assert last == "ValueError: no"


def test_configured_lines_go_to_standard_error_from_the_level_on(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("warning", "json")
    root.info("quiet")
    root.warning("loud")
    out, error = capsys.readouterr()
    assert out == ""
    assert json.loads(error)["event"] == "loud"


def test_libraries_do_not_chatter(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "text")
    logging.getLogger("apscheduler.scheduler").info("Added job")
    logging.getLogger("pika.connection").info("Closing")
    assert capsys.readouterr().err == ""
