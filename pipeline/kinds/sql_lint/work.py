"""Lints one batch: each file in a killable child, each ending in the ledger."""

import json
import os
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, lru_cache
from typing import Any

from pipeline import broker, metrics
from pipeline.adapters.sqlfluff.pool import LintPool, LintWork
from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.runner import Ending, Ledger
from pipeline.core.tasks import Claim
from pipeline.errors import NotFound, Permanent
from pipeline.kinds.sql_lint.spec import LintParameters, Place
from pipeline.settings import MOST
from pipeline.states import Reason
from pipeline.store import results
from pipeline.store.blobs import BlobStore
from pipeline.store.models import JobRow
from pipeline.store.results import Result

#: A batch that took so long gives back what it has not begun: no message is open for longer than
#: this plus the time limits of two files, far below RabbitMQ's 30 minutes.
BATCH_BUDGET_S = 300.0

#: Files of a batch under way at once: one in the child, one on its way there.
AHEAD = 2


def work(
    job: JobRow, claims: Sequence[Claim], ledger: Ledger, beat: Heartbeat, context: Context
) -> None:
    """Lint the claimed files, the largest first; stops early when the job is stopped."""
    parameters = documents.read(LintParameters, job.parameters, "parameters")
    pool = lint_pool(context)
    places = _places(claims, ledger)
    known = results.known(place.key for place in places.values()) if parameters.cache else set()
    metrics.CACHE_HITS.add(job.kind, by=sum(place.key in known for place in places.values()))
    ends_at = time.monotonic() + BATCH_BUDGET_S

    def goes_on() -> bool:
        return not (beat.stopped() or broker.stopping() or time.monotonic() > ends_at)

    def lint(claim: Claim) -> Ending:
        place = places[claim.id]
        key = place.key
        if key in known:
            return Ending(claim, result_key=key)
        told = _work_of(claim, place, parameters, context.blobs)
        if isinstance(told, Ending):
            return told
        reply = pool.lint(told, cancelled=beat.stopped)
        metrics.LINT_SECONDS.observe(reply.seconds)
        metrics.LINT_FILES.add(reply.reason or "linted")
        result = None
        if reply.result is not None:
            result = Result(key, reply.result, counts(reply.result))
        return Ending(claim, reply.reason, reply.message, result)

    for ending in _ahead(lint, [each for each in claims if each.id in places], goes_on):
        if beat.stopped():
            return
        ledger.add(ending)
    if broker.stopping():
        ledger.hand_back(Reason.WORKER_LOST, "The worker was asked to stop.")
    elif not beat.stopped():
        ledger.hand_back(Reason.TIME_LIMIT, "The batch was long; the rest goes in another.")


def _ahead(
    lint: Callable[[Claim], Ending], claims: Sequence[Claim], goes_on: Callable[[], bool]
) -> Iterator[Ending]:
    """Yield the endings in order; while one is written down, the child works on the next file."""
    threads = _lint_threads()
    begun: deque[Future[Ending]] = deque()
    try:
        for claim in claims:
            if not goes_on():
                break
            begun.append(threads.submit(lint, claim))
            if len(begun) == AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        wait(begun)


@cache
def _lint_threads() -> ThreadPoolExecutor:
    """Return the threads that talk to lint children; made when they are needed, kept for the next
    batch."""
    return ThreadPoolExecutor(MOST, thread_name_prefix="lint")


# A forked copy has none of them.
os.register_at_fork(after_in_child=_lint_threads.cache_clear)


def counts(document: dict[str, Any]) -> dict[str, int]:
    """Return what summaries need of a result, without unpacking it."""
    violations = document["violations"]
    warnings = sum(bool(each["warning"]) for each in violations)
    return {
        "errors": len(violations) - warnings,
        "warnings": warnings,
        "fixable": sum(bool(each["fixable"]) for each in violations),
    }


def _places(claims: Sequence[Claim], ledger: Ledger) -> dict[uuid.UUID, Place]:
    """Return where the files lie; a task whose row does not say so has ended."""
    places = {}
    for claim in claims:
        try:
            places[claim.id] = documents.read(Place, claim.payload, "payload")
        except Permanent as error:
            ledger.add(Ending(claim, error.reason, error.message))
    return places


def _work_of(
    claim: Claim, place: Place, parameters: LintParameters, blobs: BlobStore
) -> LintWork | Ending:
    """Return what the child is to do; how the task ends when what it needs is not there."""
    digest = place.blobs[1]
    try:
        data, config = _content(blobs, place), _config(blobs, digest)
    except NotFound as error:
        # On a shared folder this machine may be the last to see a file: it is looked for again.
        return Ending(claim, Reason.STORAGE, error.message)
    except Permanent as error:
        return Ending(claim, error.reason, error.message)
    return LintWork(
        name=claim.name,
        data=data,
        config=config,
        config_digest=digest,
        fix=parameters.fix,
        disable_noqa=parameters.disable_noqa,
    )


def _content(blobs: BlobStore, place: Place) -> bytes:
    packed = blobs.read(place.blobs[0], place.at, place.length)
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise documents.corrupt(f"payload: no file lies at byte {place.at}") from error


@lru_cache(maxsize=256)
def _config(blobs: BlobStore, digest: str) -> dict[str, Any]:
    try:
        return documents.mapping(json.loads(blobs.read(digest)), "configuration")
    except (ValueError, RecursionError) as error:
        raise documents.corrupt("payload: its configuration is no JSON") from error


_pool: LintPool | None = None
_pool_lock = threading.Lock()


def lint_pool(context: Context) -> LintPool:
    """Return this process's lint children: one per core embedded, one in a worker process
    (RabbitMQ gives such a process one batch at a time)."""
    global _pool
    settings = context.settings
    with _pool_lock:
        if _pool is None:
            _pool = LintPool(
                settings.threads if settings.embedded else 1,
                time_limit_s=settings.lint_time_limit_s,
                memory_limit_bytes=settings.lint_memory_limit_bytes,
            )
        return _pool


def release() -> None:
    """End the lint children of this process."""
    global _pool
    with _pool_lock:
        if _pool is not None:
            _pool.close()
            _pool = None
