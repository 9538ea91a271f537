"""Ctrl-C at every moment of a lint; the second one is proved on real processes."""

import json
import os
import signal
import threading

import pytest

from pipeline.cli import following
from pipeline.cli.following import Follower
from pipeline.cli.interrupts import Interrupted, Interrupts
from pipeline.errors import DatabaseUnavailable, StorageUnavailable, WaitTimeout
from pipeline.producer import Client
from tests.support.waiting import eventually
from tests.unit.cli.test_display import progress


def states(quayline):
    return [job["state"] for job in json.loads(quayline("jobs", "--json").stdout)]


def test_before_the_submission_nothing_is_left(quayline, here, monkeypatch):
    def interrupted(*_args, **_more):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Client, "lint", interrupted)
    result = quayline("lint", "a")
    assert result.exit_code == 130
    assert "Nothing was submitted." in result.stderr
    assert states(quayline) == []


def test_a_job_accepted_in_the_moment_of_the_signal_is_cancelled(quayline, here, monkeypatch):
    submit = Client.lint

    def interrupted(*args, **more):
        submit(*args, **more)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Client, "lint", interrupted)
    monkeypatch.setattr(Client, "start", lambda _self: None)
    result = quayline("lint", "a")
    assert result.exit_code == 130
    assert "Cancelled job" in result.stderr
    monkeypatch.undo()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_running_jobs_are_all_cancelled(quayline, here, engine, monkeypatch, signum, code):
    lint_each, first = engine.lint_each, threading.Lock()

    def signalled(works, *, cancelled):
        if first.acquire(blocking=False):
            os.kill(os.getpid(), signum)
        eventually(cancelled, within_s=20)
        return lint_each(works, cancelled=cancelled)

    monkeypatch.setattr(engine, "lint_each", signalled)
    result = quayline("lint", ".", "-d", "ansi")
    assert result.exit_code == code
    assert "Cancelling job" in result.stderr
    assert "0 of 3 files were done" in result.stderr
    assert states(quayline) == ["cancelled"]


def test_wait_stops_waiting_and_leaves_the_job(quayline, here, monkeypatch):
    job_id = quayline("submit", "a", "-d", "ansi").stdout.strip()
    monkeypatch.setattr("pipeline.producer.Client.start", lambda _c: os.kill(os.getpid(), 2))
    result = quayline("wait", job_id)
    assert result.exit_code == 130
    assert f"`quayline cancel {job_id}`" in result.stderr
    assert states(quayline) == ["pending"]


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


class Told:
    """A display that remembers."""

    def __init__(self):
        self.said = []

    def show(self, _progress):
        pass

    def say(self, text):
        self.said.append(text)

    def close(self):
        pass


class Scripted:
    """A job whose looks are told in advance; an error is raised."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def progress(self):
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return look


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(following, "POLL_S", 0.0)
    monkeypatch.setattr(following, "IDLE_S", 0.05)
    monkeypatch.setattr(following, "AWAY_S", 0.05)


ENDED = progress(1, finalized=True)
OPEN = progress(0, 1)
UNTAKEN = progress(0, 0, state="pending", planned=False)


@pytest.mark.parametrize(
    ("look", "text"), [(UNTAKEN, "No worker has taken"), (OPEN, "Nothing has")]
)
def test_silence_is_told_once_where_workers_are_elsewhere(hurried, look, text):
    told = Told()
    with pytest.raises(WaitTimeout):
        Follower(Scripted(look), told, Interrupts(), embedded=False).to_end(0.3)
    [said] = told.said
    assert said.startswith(text)


def test_silence_is_not_told_where_this_process_works(hurried):
    told = Told()
    with pytest.raises(WaitTimeout):
        Follower(Scripted(OPEN), told, Interrupts(), embedded=True).to_end(0.2)
    assert told.said == []


def test_no_room_to_work_ends_the_waiting_where_this_process_works(hurried):
    def check_room():
        raise StorageUnavailable("Full.")

    embedded = Follower(Scripted(OPEN), Told(), Interrupts(), embedded=True, check_room=check_room)
    with pytest.raises(StorageUnavailable):
        embedded.to_end(5)
    elsewhere = Follower(
        Scripted(OPEN), Told(), Interrupts(), embedded=False, check_room=check_room
    )
    with pytest.raises(WaitTimeout):
        elsewhere.to_end(0.2)


def test_work_that_cannot_be_written_has_the_disk_looked_at_soon(hurried, monkeypatch):
    monkeypatch.setattr(following, "AWAY_S", 60.0)
    monkeypatch.setattr(following, "TROUBLE_S", 0.05)
    looked = []

    def follow(in_trouble):
        with pytest.raises(WaitTimeout):
            Follower(
                *(Scripted(OPEN), Told(), Interrupts()),
                embedded=True,
                check_room=lambda: looked.append(in_trouble),
                in_trouble=in_trouble,
            ).to_end(0.2)

    follow(lambda _within_s: False)
    assert looked == []
    follow(lambda within_s: within_s >= following.TROUBLE_S)
    assert looked


def test_a_database_that_comes_back_is_waited_for(hurried, monkeypatch):
    told, interrupts = Told(), Interrupts()
    monkeypatch.setattr(interrupts, "wait", lambda _seconds: None)
    job = Scripted(OPEN, DatabaseUnavailable("Away."), DatabaseUnavailable("Away."), ENDED)
    assert Follower(job, told, interrupts, embedded=False).to_end() == ENDED
    assert told.said == ["Away. Waiting for it; the job is not lost."]


def test_a_database_that_stays_away_ends_the_waiting(hurried, monkeypatch):
    interrupts = Interrupts()
    monkeypatch.setattr(interrupts, "wait", lambda _seconds: None)
    follower = Follower(Scripted(DatabaseUnavailable("Away.")), Told(), interrupts, embedded=False)
    with pytest.raises(DatabaseUnavailable):
        follower.to_end()


def test_a_signal_ends_the_waiting_for_a_database(hurried):
    interrupts = Interrupts()
    interrupts.signum = signal.SIGINT
    job = Scripted(DatabaseUnavailable("Away."))
    with pytest.raises(Interrupted) as caught:
        Follower(job, Told(), interrupts, embedded=False)._patiently()
    assert caught.value.exit_code == 130
