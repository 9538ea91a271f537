"""The HTTP side inside another command: for people, and for the containers that it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.cli.faults import note
from pipeline.errors import QuaylineError

if TYPE_CHECKING:
    from pipeline.producer import Client


@contextmanager
def answering(client: "Client") -> Iterator[None]:
    """Serve the API at the address of the settings while the block runs; an address that is taken
    is said, and no fault."""
    from pipeline.web.server import serve_in_thread

    settings = client.settings
    try:
        server = serve_in_thread(client.context, settings.api_host, settings.api_port)
    except QuaylineError as error:
        note(f"No API here: {error.message}")
        yield
        return
    note(f"The API answers at {server.url}.")
    try:
        yield
    finally:
        server.close()


@contextmanager
def called_back(client: "Client") -> Iterator[None]:
    """Answer heartbeats while the block runs, where this process does the work and the settings
    name no API. Only the containers of this machine reach it."""
    from pipeline.core import callbacks

    settings = client.settings
    if not settings.embedded or settings.api_url:
        yield
        return
    host = _reachable_at(client)
    if host is None:
        note("Containers cannot reach this process: they run without heartbeats.")
        yield
        return
    from pipeline.web.server import serve_in_thread

    server = serve_in_thread(client.context, host, 0)
    callbacks.serve(server.url)
    try:
        yield
    finally:
        callbacks.serve("")
        server.close()


def _reachable_at(client: "Client") -> str | None:
    """Return the address of this machine that its containers reach; None when they are elsewhere
    or there is no engine."""
    from pipeline.core import hosts
    from pipeline.kinds.container.engines import engine_of

    try:
        engine = engine_of(hosts.get(hosts.LOCAL, client.settings), client.settings)
        if engine.ping().kind == "process":
            note("Without Docker, collectors run as processes of this machine, not isolated.")
        return engine.gateway()
    except QuaylineError as error:
        note(error.message)
        return None
