"""The scheduler process: it sweeps until it is told to end, and then ends in order."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core import jobs, leader
from pipeline.core.context import Context, close_context, current_context, open_context
from pipeline.core.jobs import Submission
from pipeline.core.schedules import book, fires, firing
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import ScheduleRequest
from pipeline.settings import Settings
from pipeline.states import Overlap
from tests.support.waiting import eventually
from tests.support.workers import Process, environment, scheduler

WITHIN_S = 30.0


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Settings]:
    """Settings whose SQLite database this process has opened; the sweep rings often."""
    settings = Settings(state_dir=tmp_path / "state", sweep_s=0.05)
    open_context(settings)
    yield settings
    close_context()


@pytest.fixture
def running(embedded: Settings, tmp_path: Path) -> Iterator[Process]:
    """``python -m schedules`` on that database."""
    process = scheduler(environment(embedded), tmp_path).start()
    yield process
    process.kill()
    process.show()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_scheduler_sweeps_and_ends_cleanly_when_told(
    running: Process, number: signal.Signals
) -> None:
    late = jobs.submit(Submission(kind="sql_lint", parameters={}, deadline_s=0.001))
    eventually(lambda: jobs.get(late).state == "timed_out", within_s=WITHIN_S, what="the sweep")
    assert running.running()
    os.kill(running.pid, number)
    assert running.wait(10) == 0
    assert running.said("The scheduler runs") == 1
    assert running.said("Traceback") == running.said('"level": "error"') == 0


#: A tick that tells its own process to end and then goes on for a while.
LONG_TICK = """
import os, signal, threading
from schedules import __main__ as process
from pipeline.core.timetable import Entry
from pipeline.core.triggers import Every

closed = threading.Event()
close_context = process.close_context

def close():
    closed.set()
    close_context()

def tick(context):
    os.kill(os.getpid(), signal.SIGTERM)
    print("closed under the tick" if closed.wait(0.5) else "the tick ended", flush=True)

process.close_context = close
process.timetable = lambda context: [Entry("long", Every(0.05), tick)]
process.main()
print("closed" if closed.is_set() else "left open", flush=True)
"""


def test_a_tick_that_runs_at_the_end_is_waited_for(embedded: Settings) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LONG_TICK],
        env=environment(embedded),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert ended.stdout.splitlines() == ["the tick ended", "closed"]
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


#: The signal comes when it is handled already and nothing is scheduled yet.
EARLY_END = """
import os, signal
from schedules import __main__ as process

info = process.log.info

def told(text, **more):
    info(text, **more)
    if text == "The scheduler runs":
        os.kill(os.getpid(), signal.SIGTERM)

process.log.info = told
process.main()
"""


def test_told_to_end_before_the_first_tick_it_ends(embedded: Settings) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EARLY_END],
        env=environment(embedded),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


#: After the third tick the wall clock stands five minutes earlier.
SET_BACK = """
import os, signal, threading, time
from datetime import datetime, timedelta
from apscheduler.executors import base as running
from apscheduler.schedulers import base as waking
from apscheduler.triggers import interval
from schedules import __main__ as process
from pipeline.core.timetable import Entry
from pipeline.core.triggers import Every

ticks, back, wall = [], timedelta(0), time.time

class Moved(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - back

def tick(context):
    global back
    ticks.append(1)
    if len(ticks) == 3:
        back = timedelta(minutes=5)
    if len(ticks) == 6:
        os.kill(os.getpid(), signal.SIGTERM)

running.datetime = waking.datetime = interval.datetime = Moved
time.time = lambda: wall() - back.total_seconds()
process.timetable = lambda context: [Entry("often", Every(0.05), tick)]
process.main()
print(len(ticks))
"""


def test_clock_that_is_set_back_stops_the_timetable_for_a_moment_only(embedded: Settings) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SET_BACK],
        env=environment(embedded),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert int(ended.stdout) >= 6, ended.stderr
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


#: One tick hangs until the other has rung so often that ten of its own were due.
SLOW_TICK = """
import os, signal, threading
from schedules import __main__ as process
from pipeline.core.timetable import Entry
from pipeline.core.triggers import Every

often, slow, enough = [], [], threading.Event()

def hang(context):
    slow.append(1)
    if len(slow) == 1:
        assert enough.wait(20)
    else:
        os.kill(os.getpid(), signal.SIGTERM)

def ring(context):
    often.append(1)
    if len(often) == 10:
        enough.set()

process.timetable = lambda context: [
    Entry("hangs", Every(0.05), hang), Entry("often", Every(0.05), ring)
]
process.main()
print(len(often), len(slow))
"""


def test_slow_tick_starves_no_other_and_its_missed_ones_are_one(embedded: Settings) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SLOW_TICK],
        env=environment(embedded),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    often, slow = map(int, ended.stdout.split())
    assert (often >= 10, 2 <= slow <= 5) == (True, True), ended.stderr
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


def test_setting_that_names_no_entry_is_one_sentence(embedded: Settings) -> None:
    env = {**environment(embedded), "QUAYLINE_TIMETABLE": '{"swep": "off"}'}
    ended = subprocess.run(
        [sys.executable, "-m", "schedules"],
        env=env,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "Error: The setting QUAYLINE_TIMETABLE cannot be used: there is no entry 'swep'; there are "
    )
    assert ended.stderr.count("\n") == 1


def repeated(context: Context) -> Schedule:
    """Store a schedule of every second; its jobs end at once, since their source is no archive."""
    blob = context.blobs.put(b"no archive")
    source = {"name": "x.zip", "digest": blob.digest, "blobs": [blob.digest]}
    job_id = jobs.submit(Submission(kind="sql_lint", parameters={}, source=source))
    asked = ScheduleRequest(name="often", from_job=job_id, every_s=1, overlap=Overlap.ALLOW)
    return book.create(asked, context)


@pytest.mark.parametrize("command", [["-m", "schedules"], ["-m", "pipeline.cli", "run"]])
def test_schedules_fire_and_the_lease_is_given_back(
    embedded: Settings, tmp_path: Path, command: list[str]
) -> None:
    schedule = repeated(current_context())
    env = {**environment(embedded), "QUAYLINE_API_PORT": "0"}
    process = Process("fires", [sys.executable, *command], env, tmp_path).start()
    try:
        eventually(lambda: len(fires.listed(schedule.id)) >= 2, within_s=WITHIN_S, what="fires")
        assert leader.held(firing.LEASE) is not None
        process.signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    finally:
        process.kill()
        process.show()
    assert leader.held(firing.LEASE) is None
    assert {fire.outcome for fire in fires.listed(schedule.id)} == {"submitted"}
