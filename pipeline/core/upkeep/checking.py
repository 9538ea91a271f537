"""Looks at what a deployment needs and writes down how it is, for those who cannot look."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pipeline import broker
from pipeline.core import due, finishing, health, hosts, leader
from pipeline.core.context import Context
from pipeline.core.health import Finding, State
from pipeline.core.schedules import firing
from pipeline.core.upkeep.chore import Chore
from pipeline.errors import QuaylineError
from pipeline.store import schema
from pipeline.store.database import execute, session

#: What does not answer within so long does not work.
LIMIT_S = 20.0
#: Due for so long, while nothing of its queue is in work: nobody takes it.
LATE_S = 300.0


@dataclass(slots=True)
class Checked:
    """How many things are how."""

    ok: int = 0
    warning: int = 0
    failed: int = 0


def check_health(context: Context, dry_run: bool = False) -> Checked:
    """Look at all, side by side, and write down what was found; a dry run writes nothing.

    A database that is away is told to the caller (``DatabaseUnavailable``): the rows grow old.
    """
    found = look(context)
    if not dry_run:
        health.note(found)
    return Checked(**Counter(str(finding.state) for finding in found.values() if finding))


def look(context: Context) -> dict[str, Finding | None]:
    """Return how each thing is; None for what is not there to be looked at."""
    looks = [_Look(name, see, context) for name, see in _LOOKS.items()]
    ends_at = time.monotonic() + LIMIT_S
    for each in looks:
        each.join(max(0.0, ends_at - time.monotonic()))
    return {each.name: each.found for each in looks}


class _Look(threading.Thread):
    """One look; a storage that hangs keeps a thread for itself, and nobody waits for it."""

    def __init__(
        self, name: str, see: Callable[[Context], Finding | None], context: Context
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.found: Finding | None = Finding(State.FAILED, f"No answer within {LIMIT_S:g} s.")
        self._see = see
        self._context = context
        self.start()

    def run(self) -> None:
        """Look."""
        try:
            self.found = self._see(self._context)
        except QuaylineError as error:
            self.found = Finding(State.FAILED, error.message)


def _database(context: Context) -> Finding:
    began = time.monotonic()
    with session():
        execute("SELECT 1")
    facts = {"answer_s": round(time.monotonic() - began, 6)}
    missing = schema.pending()
    if missing:
        return Finding(State.WARNING, f"The schema lacks {', '.join(missing)}.", facts)
    return Finding(State.OK, "", facts)


def _storage(context: Context) -> Finding:
    began = time.monotonic()
    context.blobs.check()
    return Finding(State.OK, "", {"answer_s": round(time.monotonic() - began, 6)})


def _broker(context: Context) -> Finding:
    began = time.monotonic()
    if not context.settings.embedded and broker.waiting(finishing.QUEUE) is None:
        return Finding(State.FAILED, "The broker does not answer; jobs are kept and start later.")
    return Finding(State.OK, "", {"answer_s": round(time.monotonic() - began, 6)})


def _hosts(context: Context) -> Finding | None:
    """What the kinds know of their hosts: this process may reach none of them."""
    known = hosts.listed()
    if not known:
        return None
    away = [host for host in known if host.away_since is not None]
    facts = {host.name: round(host.away_s, 3) for host in known}
    if not away:
        return Finding(State.OK, "", facts)
    names = ", ".join(f"{host.name} ({host.error})" for host in away)
    state = State.FAILED if len(away) == len(known) else State.WARNING
    return Finding(state, f"Away: {names}.", facts)


def _scheduler(context: Context) -> Finding | None:
    if context.settings.embedded:
        return None
    lease = leader.held(firing.LEASE)
    if lease is None:
        return Finding(State.WARNING, "No scheduler has ever led: start `python -m schedules`.")
    facts = {"left_s": round(lease.left_s, 3)}
    if lease.left_s < 0:
        text = f"No scheduler leads since {-lease.left_s:.0f} s; the last was {lease.holder}."
        return Finding(State.FAILED, text, facts)
    return Finding(State.OK, f"{lease.holder} leads.", facts)


def _queues(context: Context) -> Finding:
    waiting = due.oldest()
    facts = {each.queue: round(each.oldest_s, 3) for each in waiting}
    late = [each for each in waiting if each.oldest_s > LATE_S and not each.is_served]
    if not late:
        return Finding(State.OK, "", facts)
    told = ", ".join(f"{each.queue} ({each.oldest_s:.0f} s)" for each in late)
    return Finding(State.WARNING, f"Due, and nobody takes it: {told}.", facts)


_LOOKS: dict[str, Callable[[Context], Finding | None]] = {
    "database": _database,
    "storage": _storage,
    "broker": _broker,
    "hosts": _hosts,
    "scheduler": _scheduler,
    "queues": _queues,
}

CHORE = Chore(
    "check_health",
    "health_check",
    "Look at database, storage, broker, hosts, scheduler and queues; keep what was found.",
    check_health,
)
