"""Removes what containers leave on their hosts: ended ones, strays, volumes without a container."""

from dataclasses import asdict, dataclass

from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.core import executions, hosts
from pipeline.core.context import Context
from pipeline.kinds.container.collecting import collect
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.monitor import monitor


@dataclass(slots=True)
class Cleaned:
    """What was removed."""

    containers: int = 0
    volumes: int = 0


def clean_containers(context: Context) -> Cleaned:
    """Collect every run that has ended and remove its container; and those that no row knows."""
    cleaned = Cleaned(containers=monitor(context).strays)
    for execution in executions.alive():
        if execution.is_current and execution.ended_at is None:
            continue  # The monitor's
        cleaned.containers += collect(execution.task_id, context)
    return cleaned


def clean_configs(context: Context) -> Cleaned:
    """Remove the volumes (configurations and outputs) whose container is gone, on every host.

    What a task left that runs again is kept.
    """
    cleaned = Cleaned()
    waiting = executions.unfinished()
    for host in hosts.known(context.settings):
        engine = engine_of(host, context.settings)
        try:
            cleaned.volumes += engine.remove_leftovers(keep=waiting)
        except EngineUnavailable as error:
            hosts.note_away(host.name, error.message)
    return cleaned


def check_hosts(context: Context) -> dict[str, bool]:
    """Ask every host what it is; return which of them answer."""
    answers = {}
    for host in hosts.known(context.settings):
        engine = engine_of(host, context.settings)
        try:
            hosts.note_here(host.name, asdict(engine.ping()))
            answers[host.name] = True
        except EngineUnavailable as error:
            hosts.note_away(host.name, error.message)
            answers[host.name] = False
    return answers
