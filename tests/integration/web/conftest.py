"""A real server in a thread of this process, on each database, and callers with tokens."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from pipeline.core import api_tokens, executions, transitions
from pipeline.core.context import Context
from pipeline.core.tasks import Claim
from pipeline.store.database import execute, transaction
from pipeline.web.server import serve_in_thread
from tests.support import factories as make


@dataclass
class Api:
    """The server's address, and callers that are closed with it."""

    url: str
    context: Context
    clients: list[httpx.Client] = field(default_factory=list)
    stop: Callable[[], Any] = lambda: None

    def close(self) -> None:
        """Close the callers."""
        for each in self.clients:
            each.close()

    def caller(self, role: str = "submitter", owner: str = "ann") -> httpx.Client:
        """Return a client with a token of that role and owner."""
        return self.bearer(api_tokens.create(owner, role)[1])

    def bearer(self, token: str | None) -> httpx.Client:
        """Return a client with that token, or with none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=20, verify=False)
        self.clients.append(client)
        return client


@pytest.fixture
def served(context: Context) -> Iterator[Callable[..., Api]]:
    """Start a server, with settings of its own; it is closed at the end."""
    closing: list[Callable[[], Any]] = []

    def serve(**settings: Any) -> Api:
        told = Context(context.settings.model_copy(update=settings), context.blobs)
        running = serve_in_thread(told, "127.0.0.1", 0)
        api = Api(running.url, told, stop=running.close)
        closing.extend([running.close, api.close])
        return api

    with transaction():
        execute("DELETE FROM api_tokens")
    yield serve
    for close in reversed(closing):
        close()


@pytest.fixture
def api(served: Callable[..., Api]) -> Api:
    """A server with the settings of the context."""
    return served()


@dataclass(frozen=True)
class Running:
    """An execution that goes on, and the token that its container has."""

    id: uuid.UUID
    job_id: uuid.UUID
    claim: Claim
    token: str


@pytest.fixture
def running(context: Context) -> Callable[..., Running]:
    """Make an execution of Ann's that goes on."""

    def launch(owner: str = "ann") -> Running:
        job_id = make.planned_job(context, tasks=1, owner=owner)
        [claim] = make.claimed(context, job_id)
        with transaction():
            name = f"task-{claim.id}"
            executions.place(claim.id, job_id, claim.attempt, host="here", container=name)
        executions.launched(claim.id, 1)
        assert transitions.detach(claim, holder=f"here/task-{claim.id}", lease_s=60)
        return Running(claim.id, job_id, claim, executions.token(claim.id, 1))

    return launch
