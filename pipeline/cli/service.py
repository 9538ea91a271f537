"""Commands that serve: ``run`` (all in one process), ``worker`` (supervised), ``sweep`` (once)."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.faults import note
from pipeline.cli.roles import ROLES, RoleName
from pipeline.errors import Refused

#: Dramatiq's own variable; where it is set already it wins over the role's.
PREFETCH = "dramatiq_queue_prefetch"


def run(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE.json]", help="Run this one container job instead.", show_default=False
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            "-p",
            metavar="N",
            help="Files linted at the same time (default: per core).",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="With a FILE: nothing but its log.")
    ] = False,
) -> None:
    """Run the whole service here, in one process, until SIGTERM; or one container job to its end.

    SIGTERM or Ctrl-C lets running batches end; what is left goes on at the next start. With a FILE:
    exit code 0 when it succeeded, 1 when it failed, 2 when it could not be run.
    """
    if file is not None:
        from pipeline.cli.containers import run_file

        raise typer.Exit(run_file(file, quiet=quiet))
    from pipeline.cli.callbacks import answering, called_back
    from pipeline.cli.clients import open_client, threads_of
    from pipeline.cli.interrupts import Interrupts
    from pipeline.core.schedules.firing import leave
    from pipeline.core.ticking import LOOK_S, Ticking
    from pipeline.core.timetable import entries
    from pipeline.settings import get_settings

    if not get_settings().embedded:
        raise Refused(
            "QUAYLINE_BROKER_URL names a broker: start `quayline worker` and `python -m schedules`."
        )
    with (
        Interrupts() as interrupts,
        open_client(work=True, threads=threads_of(processes)) as client,
    ):
        told = entries(client.context)
        interrupts.raising = False
        client.start()
        database = client.settings.database
        note(f"Quayline works on {database}, {client.settings.threads} files at a time.")
        ticking = Ticking([each for each in told if not each.in_worker], client.context)
        with answering(client), called_back(client), ticking:
            while interrupts.signum is None:
                interrupts.wait(LOOK_S)
                ticking.look()
        leave(client.context)
        note("Ending: running batches are closed first.")


def worker(
    context: typer.Context,
    role: Annotated[
        RoleName, typer.Option("--role", "-r", help="Which queues it takes, and how.")
    ] = RoleName.ALL,
    processes: Annotated[
        int | None,
        typer.Option(
            *("--processes", "-p"),
            metavar="N",
            help="Worker processes (default: one per core; containers and light: one).",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            *("--threads", "-t"),
            metavar="N",
            help="Threads per process (default: 4; containers 16, light 8).",
            min=1,
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option("--grace", metavar="SECONDS", help="How long SIGTERM waits for batches."),
    ] = 100.0,
    max_tasks_per_child: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Replace a process after N messages (QUAYLINE_MAX_MESSAGES_PER_CHILD).",
            min=0,
        ),
    ] = None,
    max_memory_per_child: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            help="Replace a process that is larger (QUAYLINE_MAX_MEMORY_PER_CHILD_BYTES).",
            min=0,
        ),
    ] = None,
) -> None:
    """Run `dramatiq actors` on RabbitMQ, again whenever it ends unasked.

    A process that is killed is replaced alone; one over its measure finishes its messages first.
    Further arguments go to dramatiq. SIGTERM lets running batches end; a second one does not.
    """
    from pipeline import logs
    from pipeline.cli.clients import threads_of
    from pipeline.cli.supervisor import Supervisor, command
    from pipeline.settings import get_settings

    settings = get_settings()
    if settings.embedded:
        raise Refused(
            "A worker needs QUAYLINE_BROKER_URL (amqp://…); without a broker use `quayline run`."
        )
    logs.configure(settings.log_level, settings.log_format)
    chosen = ROLES[role]
    wished = {
        PREFETCH: os.environ.get(PREFETCH, chosen.prefetch),
        "QUAYLINE_MAX_MESSAGES_PER_CHILD": max_tasks_per_child,
        "QUAYLINE_MAX_MEMORY_PER_CHILD_BYTES": max_memory_per_child,
    }
    supervisor = Supervisor(
        command(
            threads_of(processes) or chosen.processes(),
            threads or chosen.threads,
            [*chosen.arguments(), *context.args],
        ),
        grace_s=grace,
        tell=logging.getLogger("pipeline.worker").warning,
        more_env={name: str(value) for name, value in wished.items() if value is not None},
    )
    raise typer.Exit(supervisor.run())


def sweep() -> None:
    """Look once for what is due and has nobody; print what was done."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        swept = client.sweep()
        for name, number in swept.items():
            typer.echo(f"{name.replace('_', ' ')}: {number}")
