"""Lints files in killable child processes, each within a budget of time and memory.

A file that hangs, crashes or eats memory costs its child and its own reply, never a neighbour and
never this process. A killed child is replaced from the zygote within milliseconds.
"""

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline import metrics
from pipeline.adapters.sqlfluff import conversation
from pipeline.adapters.sqlfluff.conversation import Conversation, Ended, Limits
from pipeline.adapters.sqlfluff.frames import pack_header, pack_work
from pipeline.adapters.sqlfluff.processes import Child, Zygote, ZygoteGone
from pipeline.errors import Transient
from pipeline.states import Reason

GIB = 1024**3
MAX_FILES_PER_CHILD = 2000
MAX_WARM_DIALECTS = 8
MOST_HEADERS = 256
# After these SQLFluff was left at any line: what it keeps in memory may be half made.
UNSETTLING = frozenset({Reason.OUT_OF_MEMORY, Reason.ENGINE_ERROR})
WAIT_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class LintWork:
    """One file. ``config`` is the document of ``Effective``, ``config_digest`` its digest."""

    name: str
    data: bytes
    config: dict[str, Any]
    config_digest: str
    fix: bool = False
    disable_noqa: bool = False


@dataclass(frozen=True, slots=True)
class LintReply:
    """``reason`` None: linted, and ``result`` holds it. Otherwise ``message`` says why not."""

    reason: Reason | None
    message: str
    result: dict[str, Any] | None
    seconds: float


def never() -> bool:
    """Nobody cancels."""
    return False


class LintPool:
    """At most ``size`` files are linted at once. Thread-safe; made anew after a fork.

    ``fix_factor`` multiplies the time limit of work that is also fixed, which takes about twelve
    times as long.
    """

    def __init__(
        self,
        size: int,
        *,
        time_limit_s: float = 60,
        memory_limit_bytes: int = GIB,
        fix_factor: float = 5,
    ) -> None:
        self._size = max(1, size)
        self._time_limit_s = time_limit_s
        self._memory_limit_bytes = memory_limit_bytes
        self._fix_factor = fix_factor
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._zygote_lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._taken = 0
        self._closed = False
        self._dialects: dict[str, None] = {}

    def lint(self, work: LintWork, *, cancelled: Callable[[], bool] = never) -> LintReply:
        """The reply for one file, as ``lint_each`` gives it."""
        with contextlib.closing(self.lint_each([work], cancelled=cancelled)) as replies:
            return next(replies)

    def lint_each(
        self, works: Iterable[LintWork], *, cancelled: Callable[[], bool] = never
    ) -> Generator[LintReply, None, None]:
        """Yield the reply for each file, in order; waits for a free place. Close it when you leave.

        While a file is linted the next one is asked for and sent, so that no child waits. Raises
        ``Transient`` when the engine itself cannot run, never for what a file did.
        """
        pairs = _with_next(works)
        first = next(pairs, None)
        if first is None:
            return
        if not self._take_place(cancelled):
            for _ in itertools.chain([first], pairs):
                yield LintReply(Reason.CANCELLED, "The work was cancelled.", None, 0.0)
            return
        line = _Line(self, cancelled)
        try:
            for work, following in itertools.chain([first], pairs):
                yield line.reply(work, following)
        finally:
            line.end()
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def close(self) -> None:
        """Work under way ends with ``Transient``; no process is left behind."""
        with self._changed:
            self._closed = True
            children = [*self._idle, *self._busy]
            self._idle.clear()
            self._changed.notify_all()
        for child in children:
            child.kill()
        self._discard_zygote()
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0, timeout=10)
        for child in children:
            child.close()

    # --- places and children ------------------------------------------------------------------
    def _take_place(self, cancelled: Callable[[], bool]) -> bool:
        with self._changed:
            while self._taken >= self._size:
                if self._closed:
                    break
                if cancelled():
                    return False
                self._changed.wait(WAIT_STEP_S)
            if self._closed:
                raise Transient("The lint pool is closed.")
            self._taken += 1
            return True

    def _limits(self, work: LintWork) -> Limits:
        time_s = self._time_limit_s * (self._fix_factor if work.fix else 1)
        return Limits(time_s=time_s, memory_bytes=self._memory_limit_bytes)

    def _take_child(self, work: LintWork) -> Child:
        while True:
            with self._changed:
                child = self._idle.pop() if self._idle else None
                if child is None:
                    break
                self._busy.add(child)
            if child.is_idle():
                return child
            self._drop(child, None)  # it was killed while it had nothing to do
        dialect = dialect_of(work.config)
        if dialect and len(self._dialects) < MAX_WARM_DIALECTS:
            self._dialects[dialect] = None
        child = self._running_zygote().fork(
            warm=list(self._dialects), address_space_bytes=2 * self._memory_limit_bytes
        )
        with self._changed:
            self._busy.add(child)
        return child

    def _is_worn(self, child: Child, seconds: float) -> bool:
        """Count a file that the child linted; True when another child is to lint the next."""
        child.files += 1
        if child.files >= MAX_FILES_PER_CHILD:
            return True
        is_looked_at = seconds > 0.5 or child.files % 50 == 0
        return is_looked_at and child.memory_bytes() > self._memory_limit_bytes // 2

    def _give_back(self, child: Child) -> None:
        with self._changed:
            self._busy.discard(child)
            if not self._closed:
                self._idle.append(child)
                return
        child.close()

    def _drop(self, child: Child, ended: Ended | None) -> Ended:
        """The child is gone; how it ended, where nobody here ended it."""
        status = None
        if ended is not None and ended.reason is None:
            with contextlib.suppress(ZygoteGone, Transient):
                if self._zygote is not None:
                    status = self._zygote.exit_status(child)
        child.kill()
        with self._changed:
            self._busy.discard(child)
        child.close()
        if ended is None or ended.reason is not None:
            return ended or Ended(Reason.CRASHED, "")
        if status is None:
            raise ZygoteGone  # both are gone: not the file's doing
        return conversation.explain(status, ended, self._memory_limit_bytes)

    # --- the zygote ---------------------------------------------------------------------------
    def _running_zygote(self) -> Zygote:
        with self._zygote_lock:
            if self._closed:
                raise Transient("The lint pool is closed.")
            if self._zygote is None:
                self._zygote = Zygote()
            return self._zygote

    def _discard_zygote(self) -> None:
        with self._zygote_lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()

    def _after_fork(self) -> None:
        """In a forked copy of the owner: its children are not ours, start from nothing."""
        for child in [*self._idle, *self._busy]:
            child.close()
        if self._zygote is not None:
            self._zygote.forget()
        self._reset()


class _Line:
    """The files of one caller, one after the other, by one child for as long as that is fit."""

    def __init__(self, pool: LintPool, cancelled: Callable[[], bool]) -> None:
        self._pool = pool
        self._cancelled = cancelled
        self._talk: Conversation | None = None

    def reply(self, work: LintWork, following: LintWork | None) -> LintReply:
        """The reply for the file; the following one is sent behind it."""
        for last_try in (False, True):
            try:
                return self._reply_once(work, following)
            except ZygoteGone:
                self._pool._discard_zygote()
                if last_try or self._pool._closed:
                    raise Transient("The lint engine has gone away.") from None
        raise AssertionError("unreachable")

    def end(self) -> None:
        """Give back the child, or end one that works on what nobody wants to know any more."""
        talk, self._talk = self._talk, None
        if talk is not None:
            if talk.is_at_rest:
                self._pool._give_back(talk.child)
            else:
                self._pool._drop(talk.child, None)

    def _reply_once(self, work: LintWork, following: LintWork | None) -> LintReply:
        pool, talk = self._pool, self._talk
        if talk is None:
            talk = self._talk = Conversation(pool._take_child(work))
        if not talk.unanswered:
            talk.send(_packed(work))
        if following is not None:
            talk.send(_packed(following))
        started = time.monotonic()
        outcome = talk.reply(pool._limits(work), self._cancelled)
        seconds = time.monotonic() - started
        if isinstance(outcome, Ended):
            self._talk = None
            outcome = pool._drop(talk.child, outcome)
            metrics.CHILD_KILLS.add(outcome.reason or "")
            return LintReply(outcome.reason, outcome.message, None, seconds)
        reason = Reason(outcome["reason"]) if outcome["reason"] is not None else None
        if reason in UNSETTLING or pool._is_worn(talk.child, seconds):
            self._talk = None
            pool._drop(talk.child, None)
        return LintReply(reason, outcome["message"], outcome["result"], seconds)


def _with_next(works: Iterable[LintWork]) -> Iterator[tuple[LintWork, LintWork | None]]:
    """Yield each with the one behind it."""
    rest = iter(works)
    work = next(rest, None)
    while work is not None:
        following = next(rest, None)
        yield work, following
        work = following


def _packed(work: LintWork) -> bytes:
    told = (work.config_digest, work.fix, work.disable_noqa)
    header = _headers.get(told)
    if header is None:
        if len(_headers) >= MOST_HEADERS:
            _headers.clear()
        digest, fix, disable_noqa = told
        header = _headers[told] = pack_header(
            {"digest": digest, "config": work.config, "fix": fix, "disable_noqa": disable_noqa}
        )
    return pack_work(header, work.data)


#: Most files of a batch have one configuration: packed once.
_headers: dict[tuple[str, bool, bool], bytes] = {}


def dialect_of(document: dict[str, Any]) -> str | None:
    """The dialect this configuration asks for; inline lines may still say otherwise."""
    found = document["overrides"].get("dialect")
    for layer in [] if found else document["file"]:
        found = layer["values"].get("core", {}).get("dialect", found)
    return found if isinstance(found, str) else None


_pools: "weakref.WeakSet[LintPool]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
