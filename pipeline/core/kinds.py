"""What the machine must know of a kind of job, and where it finds it.

A package of ``pipeline.kinds`` says in ``KIND`` (or, for several that share their code, ``KINDS``)
what it brings; its heavy parts (``plan``, ``work``, ``finish``) are imported by workers only, at
their first use.
"""

import importlib
import pkgutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, ClassVar

from pydantic import BaseModel

from pipeline import broker
from pipeline.errors import Refused
from pipeline.settings import Settings

PACKAGE = "pipeline.kinds"
#: Held by a thread that imports code at its first use. Where one imports a module of a package and
#: another the package, which imports the module, each waits for the other; Python ends that by
#: giving one of them half of it.
LOADING = threading.RLock()


@dataclass(frozen=True, slots=True)
class Tick:
    """An actor without arguments that is rung every so many seconds, while ``is_needed``."""

    queue: str
    actor: str
    every_s: float
    is_needed: Callable[[], bool]

    #: More of a queue's messages waiting than this: nobody takes them, and one more tells nothing.
    MOST_WAITING: ClassVar[int] = 100

    def ring(self) -> None:
        """Send its message where it is needed; one that is lost is followed by the next."""
        if self.is_needed() and (broker.waiting(self.queue) or 0) <= self.MOST_WAITING:
            broker.send([broker.message(self.queue, self.actor)])


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: its validated parameters, its doorbells and the package of its code.

    ``task_cost_bytes`` is what a task costs beside its size, told in bytes of input: it keeps
    batches of many small tasks short where a task is never cheap. Where only so many tasks go on at
    once (``is_limited``), the package's ``room`` says how many more may begin. ``end_actor`` is
    rung with a task's id when what goes on outside for it tells of its end. An ``admit`` beside
    the parameters says what this deployment's settings refuse. ``figures`` names numbers in the
    results of its jobs (``("lint_files", "verdict.counts.files")``) that are added up for each day.
    """

    name: str
    package: str
    parameters: type[BaseModel]
    plan_queue: str
    plan_actor: str
    work_queue: str
    work_actor: str
    task_cost_bytes: int = 0
    is_limited: bool = False
    end_queue: str = ""
    end_actor: str = ""
    figures: tuple[tuple[str, str], ...] = ()

    @property
    def plan(self) -> Callable[..., None]:
        """``plan(job, planning, context)``: job -> tasks."""
        return self._handler("plan")

    @property
    def work(self) -> Callable[..., None]:
        """``work(job, claims, ledger, beat, context)``: one batch of tasks -> outcomes."""
        return self._handler("work")

    @property
    def finish(self) -> Callable[..., dict[str, Any]]:
        """``finish(job, context)`` -> the job's result, a JSON document."""
        return self._handler("finish")

    def room(self, context: Any) -> int:
        """Return how many more tasks may begin now."""
        return int(self._handler("room")(context)) if self.is_limited else sys.maxsize

    def ticks(self, context: Any) -> list[Tick]:
        """Return the kind's part of the timetable: what its package's ``ticks`` says, if any."""
        found: list[Tick] = self._told("ticks", context)
        return found

    def statistics(self, start: datetime, end: datetime) -> list[Any]:
        """Return what the kind's own rows tell of the jobs that ended in that time, as figures of a
        day: what its package's ``statistics`` says, if any."""
        return self._told("statistics", self.name, start, end)

    def collectors(self) -> list[Any]:
        """Return what the kind's own rows tell Prometheus: what its package's ``collectors`` says,
        if any."""
        return self._told("collectors")

    def chores(self) -> list[Any]:
        """Return the kind's part of the upkeep: what its package's ``chores`` says, if any."""
        return self._told("chores")

    def live(self, wishes: Sequence[Any]) -> list[list[Any]] | None:
        """Return what is new of the tasks (``TaskNews``) for each ``Wish``: what its package's
        ``live`` says; None where the kind has none, and its jobs tell of themselves alone."""
        try:
            return list(self._handler("live")(wishes))
        except ModuleNotFoundError as error:
            if error.name != f"{self.package}.live":
                raise
            return None

    @property
    def needs_source(self) -> bool:
        """True when its jobs have a stored source: a ``StoredSource`` beside the parameters."""
        return hasattr(sys.modules[self.parameters.__module__], "StoredSource")

    def admit(self, parameters: BaseModel, settings: Settings) -> None:
        """Raise ``Refused`` where this deployment does not allow the parameters."""
        admit = getattr(sys.modules[self.parameters.__module__], "admit", None)
        if admit is not None:
            admit(parameters, settings)

    def release(self) -> None:
        """Give back what the kind's work holds in this process (child processes), if it ran."""
        release = getattr(sys.modules.get(f"{self.package}.work"), "release", None)
        if release is not None:
            release()

    def _told(self, step: str, *told: Any) -> list[Any]:
        try:
            return list(self._handler(step)(*told))
        except ModuleNotFoundError as error:
            if error.name != f"{self.package}.{step}":
                raise
            return []

    def _handler(self, step: str) -> Callable[..., Any]:
        handler: Callable[..., Any] = getattr(_module(f"{self.package}.{step}"), step)
        return handler


def _module(name: str) -> ModuleType:
    """Return the module, whole; nobody waits who has had it before."""
    if name not in _loaded:
        with LOADING:
            _loaded[name] = importlib.import_module(name)
    return _loaded[name]


_loaded: dict[str, ModuleType] = {}


def all_kinds() -> list[Kind]:
    """Return every kind: those of ``pipeline.kinds`` and those registered from elsewhere."""
    for package in _packages():
        _load(package)
    return list(_registered.values())


def _load(package: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.{package}")
    for kind in getattr(module, "KINDS", None) or [module.KIND]:
        _registered.setdefault(kind.name, kind)


def release_all() -> None:
    """Give back what every kind's work holds in this process."""
    for kind in _registered.values():
        kind.release()


_registered: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Make a kind known that lives outside ``pipeline.kinds``."""
    _registered[kind.name] = kind
    return kind


def get_kind(name: str) -> Kind:
    """Return the kind of that name; ``Refused`` when there is none."""
    if name in _registered:
        return _registered[name]
    # The usual one loads one package; a name that is none looks at all, and says so.
    if name in _packages():
        _load(name)
    else:
        all_kinds()
    if name not in _registered:
        raise Refused(f"There is no kind of job named {name!r}.")
    return _registered[name]


def _packages() -> list[str]:
    found = pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)
    return [module.name for module in found]
