"""Lints one batch: each file in a killable child, each ending in the ledger."""

import itertools
import json
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from pipeline import broker, metrics
from pipeline.adapters.sqlfluff.pool import LintPool, LintReply, LintWork
from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.runner import Ending, Ledger
from pipeline.core.tasks import Claim
from pipeline.errors import NotFound, Permanent
from pipeline.kinds.sql_lint.spec import LintParameters, Place
from pipeline.states import Reason
from pipeline.store import results
from pipeline.store.blobs import BlobStore
from pipeline.store.models import JobRow
from pipeline.store.results import Result

#: A batch that took so long gives back what it has not begun: no message is open for longer than
#: this plus the time limits of two files, far below RabbitMQ's 30 minutes.
BATCH_BUDGET_S = 300.0

#: A file as it was packed, or why it cannot be had.
Packed = bytes | NotFound | Permanent


def work(
    job: JobRow, claims: Sequence[Claim], ledger: Ledger, beat: Heartbeat, context: Context
) -> None:
    """Lint the claimed files, the largest first; stops early when the job is stopped."""
    parameters = documents.read(LintParameters, job.parameters, "parameters")
    pool = lint_pool(context)
    placed = _placed(claims, ledger)
    if parameters.cache:
        placed = _unknown(placed, ledger, job.kind)
    contents = _read(placed, context.blobs)
    under_way: deque[tuple[Claim, Place]] = deque()
    ends_at = time.monotonic() + BATCH_BUDGET_S

    def works() -> Iterator[LintWork]:
        for (claim, place), packed in zip(placed, contents, strict=True):
            if beat.stopped() or broker.stopping() or time.monotonic() > ends_at:
                return
            told = _work_of(claim, place, packed, parameters, context.blobs)
            if isinstance(told, Ending):
                ledger.add(told)
            else:
                under_way.append((claim, place))
                yield told

    with closing(pool.lint_each(works(), cancelled=beat.stopped)) as replies:
        for reply in replies:
            if beat.stopped():
                return
            ledger.add(_ending(*under_way.popleft(), reply))
    if broker.stopping():
        ledger.hand_back(Reason.WORKER_LOST, "The worker was asked to stop.")
    elif not beat.stopped():
        ledger.hand_back(Reason.TIME_LIMIT, "The batch was long; the rest goes in another.")


def _ending(claim: Claim, place: Place, reply: LintReply) -> Ending:
    metrics.LINT_SECONDS.observe(reply.seconds)
    metrics.LINT_FILES.add(reply.reason or "linted")
    result = None
    if reply.result is not None:
        result = Result(place.key, reply.result, counts(reply.result))
    return Ending(claim, reply.reason, reply.message, result)


def counts(document: dict[str, Any]) -> dict[str, int]:
    """Return what summaries need of a result, without unpacking it."""
    violations = document["violations"]
    warnings = sum(bool(each["warning"]) for each in violations)
    return {
        "errors": len(violations) - warnings,
        "warnings": warnings,
        "fixable": sum(bool(each["fixable"]) for each in violations),
    }


def _placed(claims: Sequence[Claim], ledger: Ledger) -> list[tuple[Claim, Place]]:
    """Return where each file lies; a task whose row does not say so has ended."""
    placed = []
    for claim in claims:
        try:
            placed.append((claim, documents.read(Place, claim.payload, "payload")))
        except Permanent as error:
            ledger.add(Ending(claim, error.reason, error.message))
    return placed


def _unknown(
    placed: Sequence[tuple[Claim, Place]], ledger: Ledger, kind: str
) -> list[tuple[Claim, Place]]:
    """End the tasks whose result is stored already; return the others."""
    known = results.known(place.key for _, place in placed)
    unknown = []
    for claim, place in placed:
        if place.key in known:
            ledger.add(Ending(claim, result_key=place.key))
        else:
            unknown.append((claim, place))
    metrics.CACHE_HITS.add(kind, by=len(placed) - len(unknown))
    return unknown


def _read(placed: Sequence[tuple[Claim, Place]], blobs: BlobStore) -> list[Packed]:
    """Return the files as they were packed, in order; each pack is opened once."""
    by_pack = defaultdict(list)
    for _, place in placed:
        by_pack[place.blobs[0]].append((place.at, place.length))
    found: dict[str, Iterator[Packed]] = {}
    for pack, parts in by_pack.items():
        try:
            found[pack] = iter(blobs.read_parts(pack, parts))
        except (NotFound, Permanent) as error:
            found[pack] = itertools.repeat(error)
    return [next(found[place.blobs[0]]) for _, place in placed]


def _work_of(
    claim: Claim, place: Place, packed: Packed, parameters: LintParameters, blobs: BlobStore
) -> LintWork | Ending:
    """Return what the child is to do; how the task ends when what it needs is not there."""
    digest = place.blobs[1]
    try:
        data, config = _unpacked(packed, place), _config(blobs, digest)
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


def _unpacked(packed: Packed, place: Place) -> bytes:
    if not isinstance(packed, bytes):
        raise packed
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
