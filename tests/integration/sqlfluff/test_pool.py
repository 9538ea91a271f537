"""What a hostile file costs: its own child and its own reply, nothing else."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.adapters.sqlfluff import LintPool, LintReply
from pipeline.adapters.sqlfluff.conversation import Ended, explain
from pipeline.errors import Transient
from pipeline.states import Reason
from tests.integration.sqlfluff.conftest import effective, work

LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}SELECT 1\n"
CLEAN = "SELECT 1\n"


def _until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "the condition never became true"
        select.select([], [], [], 0.01)


def _in_thread(call: Callable[[], LintReply]) -> tuple[threading.Thread, list[LintReply]]:
    replies: list[LintReply] = []
    thread = threading.Thread(target=lambda: replies.append(call()))
    thread.start()
    return thread, replies


def test_file_is_linted_and_fixed(pool: LintPool):
    reply = pool.lint(work("SELECT a  from t\n", fix=True))

    assert reply.reason is None
    assert reply.result is not None
    assert [one["code"] for one in reply.result["violations"]] == ["LT01", "CP01"]
    assert all(one["fixable"] for one in reply.result["violations"])
    assert reply.result["fixed"] == "SELECT a FROM t\n"
    assert reply.result["diff"].startswith("--- a/{path}\n+++ b/{path}\n@@")
    assert reply.result["lines"] == {"1": "SELECT a  from t", "2": ""}


def test_violations_of_a_fix_are_those_of_a_plain_lint(pool: LintPool):
    sql = "select a.id,  B.Name\nFROM accounts a\nJOIN b on a.id=B.id where x in (1,2)"
    plain, fixing = pool.lint(work(sql)), pool.lint(work(sql, fix=True))

    assert plain.result is not None
    assert fixing.result is not None
    assert fixing.result["violations"] == plain.result["violations"]
    assert plain.result["fixed"] is None


def test_file_with_parse_errors_is_not_fixed(pool: LintPool):
    reply = pool.lint(work("SELECT (a  from t\n", fix=True))

    assert reply.result is not None
    assert reply.result["fixed"] is None


def test_result_is_json_equal_for_equal_input_and_knows_no_name(pool: LintPool):
    sql = "-- sqlfluff:library_path:/x\nSELECT a  from t -- noqa: XX\n"
    first = pool.lint(work(sql)).result
    for other in (CLEAN, "SELECT {{ x }}", sql + sql):
        pool.lint(work(other))

    assert pool.lint(work(sql)).result == first
    assert json.loads(json.dumps(first)) == first
    assert "secret" not in json.dumps(first)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (LOOP, Reason.TIME_LIMIT),
        ("{{ 'a' * 2000000000 }}", Reason.OUT_OF_MEMORY),
        ("{{ 'a' * 20000000000 }}", Reason.OUT_OF_MEMORY),
        ("SELECT {{ 1 / 0 }}\n", Reason.ENGINE_ERROR),
        (b"SELECT \x00\x01\x02", Reason.UNREADABLE),
        ("-- sqlfluff:dialect:nowhere\nSELECT 1\n", Reason.BAD_CONFIG),
    ],
    ids=["time", "memory", "one allocation", "exception", "binary", "bad config"],
)
def test_hostile_file_gets_a_typed_reply_and_its_neighbours_their_results(
    pool: LintPool, sql: str | bytes, reason: Reason
):
    thread, replies = _in_thread(lambda: pool.lint(work(sql)))
    neighbours = [pool.lint(work(CLEAN)) for _ in range(5)]
    thread.join()

    assert replies[0].reason is reason
    assert replies[0].result is None
    assert "Traceback" not in replies[0].message
    assert len(replies[0].message) > 10
    assert all(one.reason is None for one in neighbours)
    assert pool.lint(work(CLEAN)).reason is None


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"dialect": None}, Reason.BAD_CONFIG),
        ({"dialect": "nowhere"}, Reason.BAD_CONFIG),
        ({"templater": "placeholder"}, Reason.BAD_CONFIG),
    ],
)
def test_configuration_that_sqlfluff_refuses_is_a_typed_reply(
    pool: LintPool, overrides: dict[str, object], reason: Reason
):
    assert pool.lint(work(CLEAN, effective(overrides))).reason is reason


def test_deeply_nested_sql_is_answered(pool: LintPool):
    reply = pool.lint(work("SELECT " + "(" * 3000 + "1" + ")" * 3000 + "\n"))

    assert reply.reason in (None, Reason.ENGINE_ERROR, Reason.CRASHED, Reason.TIME_LIMIT)


def test_running_work_is_cancelled():
    pool = LintPool(1, time_limit_s=60)
    try:
        started = time.monotonic()
        reply = pool.lint(work(LOOP), cancelled=lambda: time.monotonic() > started + 2)
        assert reply.reason is Reason.CANCELLED
        assert pool.lint(work(CLEAN)).reason is None
    finally:
        pool.close()


def test_panic_of_the_rust_parser_is_an_engine_error():
    pool = LintPool(1, time_limit_s=60)
    try:
        reply = pool.lint(work("SELECT 1 WHERE " + " AND ".join(["a = 1"] * 8000)))
        assert reply.reason is Reason.ENGINE_ERROR
        assert pool.lint(work(CLEAN)).reason is None
    finally:
        pool.close()


def test_waiting_work_is_cancelled():
    pool = LintPool(1, time_limit_s=60)
    stop = threading.Event()
    thread, replies = _in_thread(lambda: pool.lint(work(LOOP), cancelled=stop.is_set))
    try:
        _until(lambda: bool(pool._busy))
        assert pool.lint(work(CLEAN), cancelled=lambda: True).reason is Reason.CANCELLED
    finally:
        stop.set()
        thread.join()
        pool.close()
    assert replies[0].reason is Reason.CANCELLED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_child_that_dies_at_work_costs_only_its_file(number: signal.Signals):
    pool = LintPool(1, time_limit_s=60)
    thread, replies = _in_thread(lambda: pool.lint(work(LOOP)))
    try:
        _until(lambda: bool(pool._busy))
        os.kill(next(iter(pool._busy)).pid, number)
        thread.join()
        assert replies[0].reason is Reason.CRASHED
        assert pool.lint(work(CLEAN)).reason is None
    finally:
        pool.close()


def test_child_that_dies_at_rest_is_replaced_unseen():
    pool = LintPool(1)
    try:
        pool.lint(work(CLEAN))
        child = pool._idle[0]
        child.kill()
        _until(lambda: not child.is_idle())
        assert pool.lint(work(CLEAN)).reason is None
    finally:
        pool.close()


@pytest.mark.parametrize("sql", ["SELECT {{ 1 / 0 }}\n", "{{ 'a' * 20000000000 }}"])
def test_child_in_which_sqlfluff_failed_is_not_used_again(sql: str):
    pool = LintPool(1)
    try:
        pool.lint(work(CLEAN))
        before = pool._idle[0].pid
        assert pool.lint(work(sql)).reason in (Reason.ENGINE_ERROR, Reason.OUT_OF_MEMORY)
        assert pool.lint(work(CLEAN)).reason is None
        assert pool._idle[0].pid != before
    finally:
        pool.close()


def test_zygote_that_dies_is_started_again_and_the_work_done():
    pool = LintPool(1, time_limit_s=60)
    try:
        pool.lint(work(CLEAN))
        assert pool._zygote is not None
        child = pool._idle[0]
        os.kill(pool._zygote.pid, signal.SIGKILL)
        _until(lambda: not child.is_idle())
        assert pool.lint(work(CLEAN)).reason is None
    finally:
        pool.close()


def test_engine_that_cannot_start_is_transient(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    pool = LintPool(1)
    try:
        with pytest.raises(Transient):
            pool.lint(work(CLEAN))
    finally:
        pool.close()


def test_closed_pool_leaves_no_process_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = LintPool(2, time_limit_s=60)
    pool.lint(work(CLEAN))
    errors: list[BaseException] = []

    def lint() -> None:
        try:
            pool.lint(work(LOOP))
        except Transient as error:
            errors.append(error)

    thread = threading.Thread(target=lint)
    thread.start()
    _until(lambda: bool(pool._busy))
    assert pool._zygote is not None
    handles = [os.pidfd_open(pool._zygote.pid), os.pidfd_open(next(iter(pool._busy)).pid)]
    pool.close()
    thread.join()

    assert len(errors) == 1
    assert _all_ended(handles, 2)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Transient):
        pool.lint(work(CLEAN))


def _all_ended(handles: list[int], timeout_s: float) -> bool:
    """Whether every process ends in time; the handles are closed."""
    give_up_at = time.monotonic() + timeout_s
    ended = [
        bool(select.select([handle], [], [], max(0, give_up_at - time.monotonic()))[0])
        for handle in handles
    ]
    for handle in handles:
        os.close(handle)
    return all(ended)


OWNER = """
import sys, threading
from pipeline.adapters.sqlfluff import LintPool
from tests.integration.sqlfluff.conftest import work
pool = LintPool(1, time_limit_s=600)
pool.lint(work("SELECT 1"))
threading.Thread(target=pool.lint, args=(work(sys.argv[1]),), daemon=True).start()
while not pool._busy:
    pass
print(pool._zygote.pid, next(iter(pool._busy)).pid, flush=True)
threading.Event().wait()
"""
STUCK_IN_RUST = "SELECT 1 WHERE " + " + ".join(["a"] * 2500) + "\n"


@pytest.mark.parametrize("sql", [LOOP, STUCK_IN_RUST], ids=["in a template", "in the parser"])
def test_killed_owner_leaves_no_process_and_no_file(sql: str, tmp_path: Path):
    root = Path(__file__).parents[3]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, sql],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(tmp_path)},
    )
    with owner:
        assert owner.stdout is not None
        zygote, child = owner.stdout.readline().decode().split()
        handles = [os.pidfd_open(int(zygote)), os.pidfd_open(int(child))]
        owner.kill()
        assert _all_ended(handles, 2)
    assert list(tmp_path.iterdir()) == []


def test_forked_copy_of_the_owner_starts_its_own_children(pool: LintPool):
    pool.lint(work(CLEAN))
    pid = os.fork()
    if pid == 0:
        done = 1
        try:
            done = 0 if pool.lint(work(CLEAN)).reason is None else 2
            pool.close()
        finally:
            os._exit(done)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.lint(work(CLEAN)).reason is None


@pytest.mark.parametrize(
    ("number", "peak_mib", "reason"),
    [
        (signal.SIGKILL, 100, Reason.CRASHED),
        (signal.SIGKILL, 900, Reason.OUT_OF_MEMORY),
        (signal.SIGABRT, 100, Reason.CRASHED),
        (signal.SIGABRT, 900, Reason.OUT_OF_MEMORY),
        (signal.SIGSEGV, 900, Reason.CRASHED),
    ],
)
def test_only_a_large_process_that_is_killed_was_out_of_memory(
    number: signal.Signals, peak_mib: int, reason: Reason
):
    ended = Ended(Reason.CRASHED, "", peak_memory_bytes=peak_mib * 2**20)
    assert explain(int(number), ended, 2**30).reason is reason
