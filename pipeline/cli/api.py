"""``quayline api``: the HTTP side, as a process of its own."""

from typing import Annotated

import typer

from pipeline.cli.faults import debugging, note


def api(
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="HOST", help="Where it listens (QUAYLINE_API_HOST)."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            *("--port", "-p"),
            metavar="PORT",
            min=0,
            max=65_535,
            help="Its port (QUAYLINE_API_PORT); 0: any that is free.",
        ),
    ] = None,
) -> None:
    """Answer over HTTP: jobs for people and programs, heartbeats of containers.

    SIGTERM or Ctrl-C ends it after the requests in work. `quayline token create` makes a token.
    """
    from pipeline import logs
    from pipeline.cli.interrupts import Interrupts
    from pipeline.producer import Client
    from pipeline.settings import get_settings
    from pipeline.web import server

    settings = get_settings()
    logs.configure("debug" if debugging() else settings.log_level, settings.log_format)
    with Interrupts() as interrupts, Client(settings, work=False) as client:
        asked = host if host is not None else settings.api_host
        listener = server.listen(asked, port if port is not None else settings.api_port)
        interrupts.raising = False
        note(f"Quayline answers at {server.address(listener, asked)}.")
        if settings.embedded:
            note("Nothing is worked on here: `quayline run` with the same settings does that.")
        if interrupts.signum is None:
            server.serve(client.context, listener, heard=client.heard)
