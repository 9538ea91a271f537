"""Database connections that are few, cut, or held by a process that does nothing any more."""

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from pipeline.core import jobs
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.dispatch import dispatch
from pipeline.core.jobs import Submission
from pipeline.errors import DatabaseUnavailable
from pipeline.settings import Settings
from pipeline.states import JobState
from pipeline.store.database import execute, proxy, session, transaction
from tests.support import factories as make
from tests.support.faults import Fleet
from tests.support.servers import Postgres
from tests.support.waiting import eventually
from tests.support.workers import environment, running, script


@pytest.fixture
def opened(tmp_path: Path, database: str) -> Iterator[Context]:
    """A context with four connections on a PostgreSQL database; messages stay in memory."""
    settings = Settings(state_dir=tmp_path, database_url=database, database_pool=4)
    yield open_context(settings)
    close_context()


def cut_all(url: str) -> int:
    """Cut every connection to the database but our own; return how many there were."""
    with psycopg.connect(url, autocommit=True) as admin:
        cut = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return len(cut)


def in_threads(number: int, act: Callable[[], object]) -> None:
    """Run the act in so many threads that then end; the first error is raised here."""
    with ExitStack() as threads:
        # A pool for each: one pool of many may give a thread that is idle already to two acts.
        pools = [threads.enter_context(ThreadPoolExecutor(1)) for _ in range(number)]
        acts = [pool.submit(act) for pool in pools]
    for each in acts:
        each.result()


def submit() -> uuid.UUID:
    return jobs.submit(Submission(kind="trivial", parameters={"tasks": 0}))


def test_database_without_an_encoding_keeps_text(tmp_path: Path, database: str) -> None:
    plain = f"{database}_ascii"
    name = plain.rsplit("/", 1)[1]
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII'"
            " LC_COLLATE 'C' LC_CTYPE 'C'".encode()
        )
        try:
            open_context(Settings(state_dir=tmp_path, database_url=plain))
            job = jobs.get(
                jobs.submit(Submission(kind="trivial", parameters={}, owner="Žofie 门店"))
            )
            assert (job.kind, job.owner) == ("trivial", "Žofie 门店")
        finally:
            close_context()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_url_may_name_its_host_among_the_parameters(tmp_path: Path, database: str) -> None:
    told = urlsplit(database)
    place = {"host": told.hostname, "port": told.port, "user": told.username}
    url = f"postgresql://{told.path}?{urlencode({**place, 'password': told.password or ''})}"
    open_context(Settings(state_dir=tmp_path, database_url=url))
    try:
        with session():
            assert execute("SELECT current_database()") == [(told.path[1:],)]
    finally:
        close_context()


def test_more_threads_than_connections_wait_for_one_another(opened: Context) -> None:
    submitted: list[uuid.UUID] = []

    def act() -> None:
        for _ in range(10):
            submitted.append(submit())
            assert jobs.get(submitted[-1]).state == JobState.PENDING

    in_threads(12, act)
    assert len(set(submitted)) == 120
    assert not proxy.obj._in_use


def test_no_connection_free_in_time_is_typed(tmp_path: Path, database: str) -> None:
    open_context(
        Settings(state_dir=tmp_path, database_url=database, database_pool=1, database_timeout_s=0.5)
    )
    try:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with session():
                held.set()
                done.wait(20)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(10)
        with pytest.raises(DatabaseUnavailable):
            submit()
        done.set()
        holder.join()
        assert submit()
    finally:
        close_context()


def test_thread_that_ends_leaves_its_slot(opened: Context) -> None:
    for _ in range(12):
        in_threads(1, submit)
    assert not proxy.obj._in_use


def test_idle_connections_that_were_cut_are_not_used_again(opened: Context, database: str) -> None:
    in_threads(4, submit)
    assert cut_all(database) >= 1
    told: list[object] = []

    def again() -> None:
        try:
            told.append(submit())
        except DatabaseUnavailable as error:
            told.append(error)

    for _ in range(8):
        in_threads(1, again)
    # libpq only notices at the next use, so that use may fail; the one after may not.
    assert not [each for each in told[4:] if isinstance(each, Exception)]


def test_thread_whose_connection_was_cut_goes_on_by_itself(opened: Context, database: str) -> None:
    failures = 0
    for _ in range(5):
        submit()
        cut_all(database)
        try:
            submit()
        except DatabaseUnavailable:
            failures += 1
        assert submit()
    assert failures <= 5
    assert not proxy.obj._in_use


def test_connection_that_is_lost_while_it_is_taken_is_not_kept(
    opened: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one of a process is asked which server it is of."""
    pool = proxy.obj
    ask = type(pool)._set_server_version

    def ask_in_vain(self: Any, connection: Any) -> None:
        connection.close()
        ask(self, connection)

    with monkeypatch.context() as patched:
        patched.setattr(type(pool), "_set_server_version", ask_in_vain)
        patched.setattr(pool, "server_version", None)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="closed"):
                submit()
    assert pool.is_closed()
    assert len(pool._in_use) == 0
    assert jobs.get(submit()).state == "pending"


def test_dead_connection_that_was_left_in_a_thread_is_given_up(opened: Context) -> None:
    proxy.obj.connect()
    proxy.obj.connection().close()
    assert jobs.get(submit()).state == "pending"
    assert proxy.obj.is_closed()
    assert len(proxy.obj._in_use) == 0


def test_cut_in_a_transaction_writes_nothing_and_says_so(opened: Context, database: str) -> None:
    job_id = submit()

    def write() -> None:
        with transaction():
            execute("UPDATE jobs SET stage = 'half' WHERE id = %s", job_id.hex)
            assert cut_all(database) >= 1
            execute("UPDATE jobs SET message = 'half' WHERE id = %s", job_id.hex)

    with pytest.raises(DatabaseUnavailable):
        write()
    assert jobs.get(job_id).stage == "queued"
    assert not proxy.obj._in_use


def test_cut_before_the_commit_writes_nothing_and_says_so(opened: Context, database: str) -> None:
    job_id = submit()

    def write() -> None:
        with transaction():
            execute("UPDATE jobs SET stage = 'half' WHERE id = %s", job_id.hex)
            assert cut_all(database) >= 1

    with pytest.raises(DatabaseUnavailable):
        write()
    assert jobs.get(job_id).stage == "queued"
    assert not proxy.obj._in_use


def test_cut_in_nested_sessions_is_typed_and_mended(opened: Context, database: str) -> None:
    def look() -> None:
        with session(), session():
            assert cut_all(database) >= 1
            execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        look()
    with session():
        assert execute("SELECT 1") == [(1,)]
    assert not proxy.obj._in_use


def test_cut_again_and_again_under_many_threads_loses_no_slot(
    opened: Context, database: str
) -> None:
    ended = threading.Event()
    counts = {"done": 0, "failed": 0}
    lock = threading.Lock()

    def act() -> None:
        while not ended.is_set():
            try:
                submit()
                told = "done"
            except DatabaseUnavailable:
                told = "failed"
            with lock:
                counts[told] += 1

    def cut() -> None:
        for _ in range(20):
            before = counts["done"]
            cut_all(database)
            eventually(lambda: counts["done"] > before + 5, within_s=20)  # noqa: B023
        ended.set()

    cutter = threading.Thread(target=cut)
    cutter.start()
    in_threads(8, act)
    cutter.join()
    assert not proxy.obj._in_use
    assert counts["done"] > 100


@pytest.mark.timeout(120)
def test_job_ends_though_its_workers_connections_are_cut(fleet: Fleet) -> None:
    with running(fleet.worker(processes=2), fleet.scheduler()):
        job_id = fleet.submit(300, pause_s=0.02)
        for part in range(1, 6):
            eventually(lambda: done(job_id) >= part * 40, within_s=30)  # noqa: B023
            assert cut_all(fleet.settings.database) > 0
        found = fleet.settled(within_s=60)
    assert found.sound, found.line("connections cut")
    assert found.succeeded == 300


def done(job_id: uuid.UUID) -> int:
    """Return how many tasks have ended, 0 while our own connection is cut."""
    try:
        return jobs.get(job_id).done
    except DatabaseUnavailable:
        return 0


HOLD_LOCK = """
from pipeline.core.context import open_context
from pipeline.store.database import lock, transaction
import sys
open_context()
with transaction():
    lock("dispatch:trivial")
    print("holding", flush=True)
    sys.stdin.read() or __import__("threading").Event().wait()
"""


@pytest.mark.timeout(120)
def test_frozen_process_in_a_transaction_does_not_hold_the_others_for_ever(
    tmp_path: Path, database: str
) -> None:
    settings = Settings(state_dir=tmp_path, database_url=database, database_timeout_s=2)
    context = open_context(settings)
    frozen = script("frozen", HOLD_LOCK, environment(settings), tmp_path)
    try:
        with running(frozen):
            eventually(lambda: frozen.said("holding"), within_s=20)
            frozen.signal(signal.SIGSTOP)
            make.planned_job(context, tasks=0)
            began = time.monotonic()
            eventually(lambda: dispatched(context), within_s=60)
            assert time.monotonic() - began < 30
    finally:
        close_context()


def dispatched(context: Context) -> bool:
    try:
        dispatch("trivial", context)
    except DatabaseUnavailable:
        return False
    return True


def test_hung_server_costs_each_of_many_callers_a_bounded_time(
    tmp_path: Path, mortal_database: str, postgres_cluster: Postgres
) -> None:
    """Its processes are stopped: connections stay open, nobody answers, nobody is let in."""
    open_context(Settings(state_dir=tmp_path, database_url=mortal_database, database_timeout_s=2))
    waits_s: list[float] = []

    def refused() -> None:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            submit()
        waits_s.append(time.monotonic() - began)

    try:
        in_threads(3, submit)
        postgres_cluster.freeze()
        try:
            in_threads(8, refused)
        finally:
            postgres_cluster.thaw()
        assert max(waits_s) < 2 + 2
        assert eventually(submits, within_s=10)
    finally:
        close_context()


def submits() -> bool:
    try:
        return bool(submit())
    except DatabaseUnavailable:
        return False


@pytest.mark.parametrize("limit", [-1, 1])
def test_slow_statement_of_a_server_that_answers_is_not_cut(
    tmp_path: Path, mortal_database: str, limit: int
) -> None:
    """Nor where the answer is that it takes no more connections."""
    name = mortal_database.rsplit("/", 1)[1]
    with psycopg.connect(mortal_database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT {limit}".encode())
        admin.execute(f"ALTER DATABASE {name} OWNER TO {name}".encode())
        admin.execute(f"ALTER SCHEMA public OWNER TO {name}".encode())
    url = mortal_database.replace("quayline@", f"{name}@")
    open_context(Settings(state_dir=tmp_path, database_url=url, database_timeout_s=1))
    try:
        with session():
            assert execute("SELECT pg_sleep(4), 1")[0][1] == 1
    finally:
        close_context()
