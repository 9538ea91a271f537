"""Services: classes whose methods are run as tasks, each known by its mode and name.

>>> @service("chat", "text_analyzer", input=Text, limits=Limits(concurrency=20))
... class TextAnalyzer:
...     def analyze(self, input_data: Text, context: TaskContext) -> dict[str, Any]:
...         return {"words": len(input_data.text.split())}

A task's name is the name of a method; where there is none, ``execute_task(task_name, input_data,
context)`` is called. Methods may be ``async``. Modules are found by the entry points of the group
``quayline.services`` and by the setting ``QUAYLINE_SERVICE_MODULES``; only workers import them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

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
    ``input`` and ``output``: models of what its methods take and return; without them any JSON.
    """

    mode: str
    name: str
    factory: type
    heavy: bool = False
    input: type[BaseModel] | None = None
    output: type[BaseModel] | None = None
    limits: Limits = field(default_factory=Limits)
    description: str = ""


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
        about = (factory.__doc__ or "").strip()
        _offers[mode, name] = Offer(
            mode, name, factory, heavy, input, output, limits or Limits(), about
        )
        return factory

    return registered
