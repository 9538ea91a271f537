"""Services: classes whose methods are run as tasks, each known by its mode and name.

>>> @service("text", "reviews", input=Text, limits=Limits(concurrency=20))
... class Reviews:
...     def weigh(self, input_data: Text, context: TaskContext) -> dict[str, Any]:
...         return {"words": len(input_data.text.split())}

A task's name is the name of a method; where there is none, ``execute_task(task_name, input_data,
context)`` is called. Methods may be ``async``. A service whose tasks take different things names no
model: then the annotations of a method's ``input_data`` and of what it returns are its models.
Modules are found by the entry points of the group ``quayline.services`` and by the setting
``QUAYLINE_SERVICE_MODULES``; only workers import them, and what is built in.
"""

import difflib
import importlib
import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from types import FunctionType
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel

from pipeline.core.kinds import LOADING
from pipeline.errors import Permanent
from pipeline.states import Reason

log = logging.getLogger(__name__)

GROUP = "quayline.services"
#: The services that come with Quayline; one of yours that has the same name goes before.
BUILT_IN = "pipeline.kinds.service.builtin"
#: Called for a task that is no method.
ANY = "execute_task"

T = TypeVar("T", bound=type)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one service may take, over all workers together.

    A call over ``soft_time_limit_s`` is asked to stop (``context.cancelled()`` turns true), one
    over ``time_limit_s`` is stopped. Errors of ``retry_on`` are tried again, up to
    ``max_attempts`` runs; any other error of a service ends its task at once.
    """

    concurrency: int | None = None
    rate_per_s: float | None = None
    soft_time_limit_s: float = 300.0
    time_limit_s: float = 600.0
    max_attempts: int = 3
    retry_on: tuple[type[Exception], ...] = (ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Offer:
    """A registered service: its class and what callers must know of it.

    ``heavy``: its tasks run on ``heavy_tasks``, each in a child process that can be killed.
    ``input`` and ``output``: models of what its methods take and return; without them those of
    ``input_of`` and ``output_of``, else any JSON.
    """

    mode: str
    name: str
    factory: type
    heavy: bool = False
    input: type[BaseModel] | None = None
    output: type[BaseModel] | None = None
    limits: Limits = field(default_factory=Limits)
    description: str = ""

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.mode}/{self.name}"

    @property
    def tasks(self) -> list[str]:
        """The names of its methods that are tasks."""
        found = {
            name
            for each in self.factory.__mro__
            for name, told in vars(each).items()
            if isinstance(told, (FunctionType, staticmethod, classmethod))
        }
        return sorted(name for name in found if not name.startswith("_") and name != ANY)

    @property
    def takes_any(self) -> bool:
        """True when it takes tasks of any name."""
        return callable(getattr(self.factory, ANY, None))

    def input_of(self, task: str) -> type[BaseModel] | None:
        """Return the model of what the task takes; None: any JSON."""
        return self.input or _annotated(getattr(self.factory, task, None), "input_data")

    def output_of(self, task: str) -> type[BaseModel] | None:
        """Return the model of what the task returns; None: any JSON."""
        return self.output or _annotated(getattr(self.factory, task, None), "return")


def _annotated(method: Any, name: str) -> type[BaseModel] | None:
    """Return the model that stands there in the method's signature."""
    try:
        found = get_type_hints(method).get(name)
    except (NameError, TypeError):
        # No method, or names that only a type checker knows.
        return None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


_offers: dict[tuple[str, str], Offer] = {}


def service(
    mode: str,
    name: str,
    *,
    heavy: bool = False,
    input: type[BaseModel] | None = None,
    output: type[BaseModel] | None = None,
    limits: Limits | None = None,
) -> Callable[[T], T]:
    """Register the decorated class as the service ``name`` of a ``mode`` (chat, document, …)."""

    def registered(factory: T) -> T:
        about = inspect.cleandoc(factory.__doc__ or "")
        offer = Offer(mode, name, factory, heavy, input, output, limits or Limits(), about)
        if factory.__module__.startswith(BUILT_IN):
            # Yours may have been imported before.
            _offers.setdefault((mode, name), offer)
        else:
            _offers[mode, name] = offer
        return factory

    return registered


def find(mode: str, name: str) -> Offer:
    """Return the service; ``Permanent`` (bad request) tells which ones this process knows."""
    offer = _offers.get((mode, name))
    if offer is None:
        told = known_of(f"{mode}/{name}", [each.label for each in offers()])
        raise Permanent(
            f"There is no service {mode}/{name} on this worker; {told}.", reason=Reason.BAD_REQUEST
        )
    return offer


def known_of(label: str, known: Sequence[str]) -> str:
    """Return which of the known services may be meant, else the first of them, in words."""
    meant = difflib.get_close_matches(label, known, n=3) or known[:20]
    return f"known are {', '.join(meant)}" if meant else "none is known"


def offers() -> list[Offer]:
    """Return what this process knows, by mode and name."""
    return [offer for _, offer in sorted(_offers.items())]


def load(modules: Iterable[str]) -> None:
    """Have every service registered: built in, of installed packages, and of these modules.

    One that cannot be imported is logged and costs itself.
    """
    with LOADING:
        for name in (BUILT_IN, *modules):
            if name not in _loaded:
                _loaded.add(name)
                _imported(name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
        # To look through what is installed takes a while.
        if GROUP not in _loaded:
            _loaded.add(GROUP)
            for point in entry_points(group=GROUP):
                _imported(point.value, point.load)


def _imported(name: str, load: Callable[[], Any]) -> None:
    try:
        load()
    except Exception:
        log.exception("A module of services cannot be imported", extra={"service_module": name})


_loaded: set[str] = set()
