"""The application: its routes, put together from one file per resource."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from anyio import move_on_after, to_thread
from fastapi import APIRouter, Depends, FastAPI, Path
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from peewee import PeeweeException

from pipeline.core import executions as core_executions
from pipeline.core.context import Context
from pipeline.errors import QuaylineError
from pipeline.web import (
    access_log,
    callbacks,
    dead_letters,
    executions,
    health,
    hosts,
    jobs,
    kinds,
    logs,
    problems,
    reports,
    results,
    schedules,
    services,
    statistics,
    submissions,
    templates,
    tickets,
    tokens,
)
from pipeline.web.guard import REQUEST_ID, Bound, Guard
from pipeline.web.health import Readying
from pipeline.web.job_bodies import JobRequest
from pipeline.web.problems import FieldError, Problem
from pipeline.web.push import Push, Pushing
from pipeline.web.service import Service

log = logging.getLogger(__name__)

#: For the database, before requests are taken.
START_S = 5.0
TITLE = "Quayline"
VERSION = "1"
DESCRIPTION = """
Background jobs: submit, follow, cancel, fetch what came of them; and the callbacks of containers.

Every error is `application/problem+json` (RFC 9457) with a `reason` for programs. Lists come in
pages: `next_cursor` of one page is `cursor` of the next. Every answer has an `X-Request-ID`, under
which the log tells more.
"""
TAGS = [
    {"name": "jobs", "description": "Submit, follow, cancel, fetch."},
    {"name": "templates", "description": "Jobs that are described once and submitted by name."},
    {"name": "services", "description": "Named callables, run as background tasks."},
    {
        "name": "callbacks",
        "description": "What containers send, with the token of their execution.",
    },
    {"name": "executions", "description": "How what runs in containers is."},
    {"name": "operators", "description": "Needs the role operator."},
    {"name": "admins", "description": "Needs the role admin."},
    {"name": "health", "description": "For load balancers and Prometheus; needs no token."},
]

RESOURCES = (
    callbacks,
    executions,
    submissions,
    jobs,
    results,
    reports,
    logs,
    kinds,
    templates,
    services,
    tickets,
)
FOR_OPERATORS = (dead_letters, hosts, schedules, access_log, statistics, tokens)
#: What a container reaches under its own token, which rides in the base URL that it is given.
IN_PATH = (callbacks, executions)
IN_PATH_PREFIX = "/t/{token}"


def create_app(context: Context, *, heard: bool = True) -> FastAPI:
    """Return the application on an open context.

    ``heard``: somebody takes the messages that this process sends (a broker, or its own workers).
    """
    service = Service(context, heard=heard)
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_lifespan,
        # They would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # An address has one form; another one is no redirect with the body sent twice.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.state.readying = Readying(service)
    problems.install(app)
    _route(app)
    app.state.push = Push(service)
    service.live.scouts.append(app.state.push.scout)
    service.live.needed_by.append(app.state.push.is_needed)
    app.add_middleware(Bound, service=service)
    if context.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=context.settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", REQUEST_ID],
            expose_headers=["Location", REQUEST_ID, "Retry-After"],
            max_age=600,
        )
    app.add_middleware(Pushing, push=app.state.push)
    app.add_middleware(Guard, service=service)
    _describe(app)
    return app


def _route(app: FastAPI) -> None:
    # Routes are tried in turn: what is asked most often, a heartbeat, comes first.
    in_path = APIRouter(prefix=f"{IN_PATH_PREFIX}/api/v1", dependencies=[Depends(_token)])
    for resource in IN_PATH:
        in_path.include_router(resource.router)
    app.include_router(in_path)
    version_1 = APIRouter(prefix="/api/v1")
    for resource in (*RESOURCES, *FOR_OPERATORS):
        version_1.include_router(resource.router)
    app.include_router(version_1)
    app.include_router(health.router)


async def _token(
    token: Annotated[str, Path(description="The token of the execution.")],
) -> None:
    """Declare it; who uses it takes it from the path."""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Say that we listen; fewer threads than connections: none waits for a connection in vain."""
    settings = app.state.service.context.settings
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(1, min(limiter.total_tokens, settings.database_pool - 2))
    await _know_deployment()
    service = app.state.service
    push = app.state.push
    service.live.start()
    work = (service.beats.listen(), service.access.run(), push.run(), push.check())
    going_on = [asyncio.create_task(each) for each in work]
    yield
    service.live.close()
    for each in going_on:
        each.cancel()
    await asyncio.wait(going_on)
    await service.access.close()


async def _know_deployment() -> None:
    """Ask before the first request needs it; a database that is away stops nobody from starting."""
    with move_on_after(START_S):
        try:
            await to_thread.run_sync(core_executions.deployment, abandon_on_cancel=True)
        except (QuaylineError, PeeweeException) as error:
            log.warning("The database is away at the start", extra={"error": str(error)})


def _describe(app: FastAPI) -> None:
    """OpenAPI also knows the models that are named there by hand."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            told = describe()
            schemas = told.setdefault("components", {}).setdefault("schemas", {})
            for model in (Problem, FieldError, JobRequest):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schema.pop("$defs", None)
                schemas[model.__name__] = schema
            _without_headers(told)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _operation_id(route: APIRoute) -> str:
    """Return the one name of an operation: its function's, and how the token comes to it."""
    return f"{route.name}_by_path" if route.path.startswith(IN_PATH_PREFIX) else route.name


def _without_headers(told: dict[str, Any]) -> None:
    """Under a token in the path no other one is asked for."""
    for path, operations in told["paths"].items():
        if path.startswith(IN_PATH_PREFIX):
            for operation in operations.values():
                operation.pop("security", None)
