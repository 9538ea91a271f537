"""Removes what containers leave on their hosts: ended ones, strays, volumes without a container."""

from contextlib import suppress
from dataclasses import asdict, dataclass

from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.core import executions, hosts
from pipeline.core.context import Context
from pipeline.kinds.container.collecting import collect
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.monitor import monitor, strays_of
from pipeline.states import TERMINAL_TASK


@dataclass(slots=True)
class Cleaned:
    """What was removed."""

    containers: int = 0
    volumes: int = 0


@dataclass(slots=True)
class Asked:
    """Hosts that answer, and hosts that do not."""

    here: int = 0
    away: int = 0


def clean_containers(context: Context, dry_run: bool = False) -> Cleaned:
    """Collect every run that has ended and remove its container; and those that no row knows."""
    if dry_run:
        return Cleaned(containers=_due(context))
    cleaned = Cleaned(containers=monitor(context).strays)
    for execution in executions.alive():
        if execution.is_current and execution.ended_at is None:
            continue  # The monitor's
        cleaned.containers += collect(execution.task_id, context)
    return cleaned


def _due(context: Context) -> int:
    """Count the containers that ``clean_containers`` would remove."""
    rows = executions.alive()
    found = sum(each.ended_at is not None or each.state in TERMINAL_TASK for each in rows)
    for host in hosts.listed():
        with suppress(EngineUnavailable):
            listed = engine_of(host, context.settings).listed()
            found += sum(1 for _ in strays_of(listed, rows))
    return found


def clean_configs(context: Context, dry_run: bool = False) -> Cleaned:
    """Remove the volumes (configurations and outputs) whose container is gone, on every host.

    What a task left that runs again is kept.
    """
    cleaned = Cleaned()
    waiting = executions.unfinished()
    for host in hosts.listed() if dry_run else hosts.known(context.settings):
        engine = engine_of(host, context.settings)
        try:
            cleaned.volumes += engine.remove_leftovers(keep=waiting, dry_run=dry_run)
        except EngineUnavailable as error:
            if not dry_run:
                hosts.note_away(host.name, error.message)
    return cleaned


def ask_hosts(context: Context, dry_run: bool = False) -> Asked:
    """Ask every host whether it answers; a dry run counts what was answered last."""
    if dry_run:
        answers = {host.name: host.away_since is None for host in hosts.listed()}
    else:
        answers = check_hosts(context)
    return Asked(here=sum(answers.values()), away=len(answers) - sum(answers.values()))


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
