"""The service ``document/render``: a document from a template and values."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.adapters import jinja
from pipeline.kinds.service.calls import TaskContext
from pipeline.kinds.service.registry import Limits, service

#: No document is longer, in characters.
MOST_CHARACTERS = 1_000_000


class TemplateInput(BaseModel):
    """A template in Jinja's language, and the values of its variables."""

    model_config = ConfigDict(extra="forbid")

    template: str = Field(max_length=200_000)
    values: dict[str, Any] = Field(default_factory=dict)
    format: Literal["text", "html"] = Field("text", description="html: values are escaped.")


class Document(BaseModel):
    """What was made."""

    text: str
    characters: int


@service("document", "render", limits=Limits(soft_time_limit_s=30.0, time_limit_s=60.0))
class DocumentRender:
    """Renders a Jinja template. Needs no network.

    That is done in a sandbox, in a process of its own: ten seconds, 512 MiB, a million characters.
    It includes no files, and a variable that has no value is an error.
    """

    def render(self, input_data: TemplateInput, context: TaskContext) -> Document:
        """Return the document."""
        text = jinja.render(
            *(input_data.template, input_data.values),
            escapes=input_data.format == "html",
            most_characters=MOST_CHARACTERS,
            stopped=context.cancelled,
        )
        return Document(text=text, characters=len(text))
