"""Lints one batch: each file in a killable child, each ending in the ledger."""

import json
import threading
import time
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pipeline import broker
from pipeline.adapters.sqlfluff.pool import LintPool, LintWork
from pipeline.core.context import Context
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.runner import Ending, Ledger
from pipeline.core.transitions import Claim
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.states import Reason
from pipeline.store import results
from pipeline.store.blobs import BlobStore
from pipeline.store.models import JobRow
from pipeline.store.results import Result

#: A batch that took so long gives back what it has not begun: no message is open for longer than
#: this plus one file's time limit, far below RabbitMQ's 30 minutes.
BATCH_BUDGET_S = 300.0


def work(
    job: JobRow, claims: Sequence[Claim], ledger: Ledger, beat: Heartbeat, context: Context
) -> None:
    """Lint the claimed files, the largest first; stops early when the job is stopped."""
    parameters = LintParameters.model_validate(job.parameters)
    pool = lint_pool(context)
    known = results.known(claim.payload["key"] for claim in claims) if parameters.cache else set()
    began = time.monotonic()
    for claim in claims:
        if beat.stopped():
            return
        if broker.stopping():
            ledger.hand_back(Reason.WORKER_LOST, "The worker was asked to stop.")
            return
        if time.monotonic() - began > BATCH_BUDGET_S:
            ledger.hand_back(Reason.TIME_LIMIT, "The batch was long; the rest goes in another.")
            return
        if claim.payload["key"] in known:
            ledger.add(Ending(claim, result_key=claim.payload["key"]))
            continue
        reply = pool.lint(_work_of(claim, parameters, context.blobs), cancelled=beat.stopped)
        if beat.stopped():
            return
        result = None
        if reply.result is not None:
            result = Result(claim.payload["key"], reply.result, counts(reply.result))
        ledger.add(Ending(claim, reply.reason, reply.message, result))


def counts(document: dict[str, Any]) -> dict[str, int]:
    """Return what summaries need of a result, without unpacking it."""
    violations = document["violations"]
    warnings = sum(bool(each["warning"]) for each in violations)
    return {
        "errors": len(violations) - warnings,
        "warnings": warnings,
        "fixable": sum(bool(each["fixable"]) for each in violations),
    }


def _work_of(claim: Claim, parameters: LintParameters, blobs: BlobStore) -> LintWork:
    payload = claim.payload
    pack, config = payload["blobs"]
    packed = blobs.read(pack, payload["at"], payload["length"])
    return LintWork(
        name=claim.name,
        data=zlib.decompress(packed),
        config=_config(blobs, config),
        config_digest=config,
        fix=parameters.fix,
        disable_noqa=parameters.disable_noqa,
    )


@lru_cache(maxsize=256)
def _config(blobs: BlobStore, digest: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(blobs.read(digest))
    return document


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
