"""The worker's supervisor, on small processes that stand for dramatiq."""

import os
import signal
import sys
import threading

import psutil
import pytest

from pipeline.cli.supervisor import Supervisor, command
from tests.support.waiting import eventually

#: A master with one child; both write their ids and wait.
FAMILY = """
import os, sys, time
child = os.fork()
with open(sys.argv[1], "a") as out:
    out.write(f"{os.getpid()}\\n")
time.sleep(60)
"""


def alive(pids):
    return [
        pid
        for pid in pids
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


@pytest.fixture
def said():
    return []


@pytest.fixture
def pids(tmp_path):
    (tmp_path / "pids").touch()
    return lambda: [int(line) for line in (tmp_path / "pids").read_text().split()]


def supervisor(said, *argv, grace_s=5.0):
    return Supervisor(
        [sys.executable, "-c", *argv], grace_s=grace_s, tell=said.append, first_pause_s=0.01
    )


def meanwhile(act):
    """Run the act in a thread; signals still reach the main thread."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def send(signum):
    os.kill(os.getpid(), signum)


def test_the_command_is_dramatiq_on_our_actors():
    told = "actors --processes 2 --threads 4 --worker-fork-timeout 5000 --queues x"
    assert command(2, 4, ["--queues", "x"])[1:] == ["-m", "pipeline.cli.master", *told.split()]


def test_a_master_that_ends_unasked_is_started_again_without_leftovers(said, pids, tmp_path):
    def kill_master_then_end():
        eventually(lambda: len(pids()) == 2, within_s=20)
        os.kill(min(pids()), signal.SIGKILL)
        eventually(lambda: len(pids()) == 4, within_s=20)
        assert alive(pids()[:2]) == []
        send(signal.SIGTERM)

    thread = meanwhile(kill_master_then_end)
    assert supervisor(said, FAMILY, str(tmp_path / "pids")).run() == 0
    thread.join()
    assert said == ["dramatiq ended (signal SIGKILL); it starts again in 0.01 s."]
    assert alive(pids()) == []


def test_sigterm_kills_what_does_not_end_within_its_grace(said, pids, tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY

    def end():
        eventually(lambda: len(pids()) == 2, within_s=20)
        send(signal.SIGTERM)

    thread = meanwhile(end)
    assert supervisor(said, stubborn, str(tmp_path / "pids"), grace_s=0.3).run() == 0
    thread.join()
    assert said == ["Running batches did not end within 0.3 s."]
    assert alive(pids()) == []


def test_a_second_signal_does_not_wait(said, pids, tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY

    watched = supervisor(said, stubborn, str(tmp_path / "pids"), grace_s=60.0)

    def end():
        eventually(lambda: len(pids()) == 2, within_s=20)
        send(signal.SIGINT)
        eventually(lambda: watched._asked, within_s=20)
        send(signal.SIGINT)

    thread = meanwhile(end)
    assert watched.run() == 0
    thread.join()
    assert alive(pids()) == []


def test_what_cannot_start_is_not_tried_for_ever(said):
    assert supervisor(said, "raise SystemExit(2)").run() == 2
    assert said == ["dramatiq could not start; its message above says why."]


def test_pauses_grow(said):
    def end():
        eventually(lambda: len(said) >= 3, within_s=20)
        send(signal.SIGTERM)

    thread = meanwhile(end)
    assert supervisor(said, "raise SystemExit(3)").run() == 0
    thread.join()
    assert [line.rpartition(" in ")[2] for line in said[:3]] == ["0.01 s.", "0.02 s.", "0.04 s."]


def test_signal_handlers_are_put_back(said):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    supervisor(said, "raise SystemExit(2)").run()
    assert before == [
        signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ]
