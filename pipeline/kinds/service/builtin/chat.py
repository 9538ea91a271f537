"""The service ``chat/chat``: a conversation goes on by one answer of a model."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.kinds.service.builtin.answers import as_asked
from pipeline.kinds.service.builtin.asking import LIMITS, MOST_TEXT, Asking, Usage, asked
from pipeline.kinds.service.builtin.schemas import Schema
from pipeline.kinds.service.calls import TaskContext
from pipeline.kinds.service.registry import service


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=MOST_TEXT)


class Conversation(Asking):
    """A prompt, or the messages so far."""

    prompt: str | None = Field(None, min_length=1, max_length=MOST_TEXT)
    messages: list[Message] | None = Field(None, min_length=1, max_length=1000)
    system: str | None = Field(None, max_length=MOST_TEXT, description="What goes before all.")
    json_schema: dict[str, Any] | None = Field(
        None, description="The answer is JSON that fits it, told as `answer`."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give prompt or messages")
        return self

    def told(self) -> list[dict[str, str]]:
        """Return all that the model is told."""
        before = [] if self.system is None else [Message(role="system", content=self.system)]
        prompt = [] if self.prompt is None else [Message(role="user", content=self.prompt)]
        return [each.model_dump() for each in (*before, *(self.messages or []), *prompt)]


class Answer(BaseModel):
    """What the model said; ``answer``: the same as JSON, where a schema was given."""

    text: str
    answer: Any = None
    model: str
    finish_reason: str
    usage: Usage


@service("chat", "chat", limits=LIMITS)
class Chat:
    """A model goes on with a conversation, in text or in JSON that fits a schema."""

    async def complete(self, input_data: Conversation, context: TaskContext) -> Answer:
        """Return the model's next turn."""
        if input_data.json_schema is not None:
            return await self._in_json(input_data, context, Schema(input_data.json_schema))
        usage = Usage()
        reply = await asked(context, input_data, input_data.told())
        usage.count(reply)
        return Answer(
            text=reply.text, model=reply.model, finish_reason=reply.finish_reason, usage=usage
        )

    async def _in_json(self, given: Conversation, context: TaskContext, schema: Schema) -> Answer:
        usage = Usage()
        reply, answer = await as_asked(
            context, given, given.told(), given.json_schema or {}, schema.read, usage
        )
        return Answer(
            text=reply.text,
            answer=answer,
            model=reply.model,
            finish_reason=reply.finish_reason,
            usage=usage,
        )
