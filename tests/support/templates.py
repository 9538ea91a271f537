"""Templates of the trivial kind."""

from typing import Any

from pipeline.core.context import Context
from pipeline.core.templates import book
from pipeline.core.templates.rows import Template
from pipeline.core.templates.spec import TemplateRequest
from pipeline.store.database import execute, session

#: ``tasks`` is needed, ``pause_s`` has a default.
BODY: dict[str, Any] = {
    "kind": "trivial",
    "parameters": {"tasks": {"$var": "tasks"}, "pause_s": {"$var": "pause_s"}},
    "variables": {
        "tasks": {"type": "integer", "min": 0, "max": 100},
        "pause_s": {"type": "number", "default": 0.5},
    },
}


def clear() -> None:
    """Forget all templates."""
    with session():
        execute("DELETE FROM templates")


def made(context: Context, name: str = "count", **told: Any) -> Template:
    """Store a version, by default one with a needed variable and one with a default."""
    return book.create(TemplateRequest(**{**BODY, **told, "name": name}), context, owner="ann")
