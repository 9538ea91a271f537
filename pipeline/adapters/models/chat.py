"""One question to a model, and its answer as it comes.

Nothing is tried again here. A call that is told to stop ends within a second, and so does its
connection.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.adapters.models.errors import KeyRefused, ModelAway, QuestionRefused, Stopped
from pipeline.adapters.models.keys import key_of
from pipeline.adapters.models.profiles import Profile

if TYPE_CHECKING:
    import openai

#: How often is looked whether the call should stop, in seconds.
LOOK_S = 0.2
#: To make a connection, in seconds.
CONNECT_S = 10.0
#: No answer is longer, in characters.
MOST_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked: ``messages`` have a ``role`` and ``content``.

    ``schema``: the JSON schema that its answer should fit; the caller sees whether it does.
    """

    messages: Sequence[dict[str, str]]
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    schema: dict[str, Any] | None = None


@dataclass(slots=True)
class Reply:
    """What has come of the answer; ``finish_reason`` is there once it is whole."""

    model: str
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    has_begun: bool = False
    characters: int = 0
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.pieces)


async def ask(
    profile: Profile,
    name: str,
    question: Question,
    *,
    heard: Callable[[str], None],
    counted: Callable[[str, int, int], None],
    stopped: Callable[[], bool],
) -> Reply:
    """Return the whole answer. ``heard`` is told each piece of it, ``counted`` once the model and
    the tokens of input and output, as far as they are known, also of an answer that broke off.

    Raises ``Stopped``, ``ModelBusy``, ``ModelAway``, ``KeyRefused`` or ``QuestionRefused``.
    """
    reply = Reply(model=profile.named(question.model, name))
    talk = asyncio.ensure_future(_talk(profile, name, question, reply, heard))
    try:
        while not (await asyncio.wait({talk}, timeout=LOOK_S))[0]:
            if stopped():
                raise Stopped("The call was stopped before the model's answer was whole.")
        talk.result()
    finally:
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)
        if reply.has_begun:
            counted(reply.model, reply.input_tokens, reply.output_tokens)
    return reply


async def _talk(
    profile: Profile, name: str, question: Question, reply: Reply, heard: Callable[[str], None]
) -> None:
    try:
        from pipeline.adapters.models import faults
    except ImportError:
        raise KeyRefused(
            "The SDK of models is missing: pip install 'quayline[services]'."
        ) from None
    key = await key_of(profile, name)
    with faults.told(name, key):
        async with _client(profile, key) as client:
            told = _request(profile, question, reply.model)
            if not key:
                told["extra_headers"] = {"Authorization": faults.NO_HEADER}
            stream = await client.chat.completions.create(**told)
            async with stream:
                async for chunk in stream:
                    _take(chunk, reply, heard)
    if not reply.finish_reason:
        # The connection was closed in good order, in the middle of the answer.
        raise ModelAway(f"The endpoint {name} broke off in its answer.")


def _client(profile: Profile, key: str) -> "openai.AsyncOpenAI":
    import openai

    client = openai.AsyncOpenAI(
        # The SDK takes an empty one for a variable to be read.
        api_key=key or "none",
        base_url=profile.base_url,
        # Rows try again: whoever waits here would hold a thread.
        max_retries=0,
        timeout=openai.Timeout(profile.timeout_s, connect=CONNECT_S),
        http_client=openai.DefaultAsyncHttpxClient(verify=_trusted()),
        default_headers={name: each.get_secret_value() for name, each in profile.headers.items()},
    )
    # Read from variables for OpenAI's own endpoint; they are no other's business.
    client.organization = client.project = None
    return client


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom this process trusts, read once: that takes longer than a call's own work."""
    trusted = ssl.create_default_context()
    # As the SDK's own: authorities of a house are seldom made by the letter of RFC 5280, which
    # Python 3.13 asks for.
    trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return trusted


def _request(profile: Profile, question: Question, model: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "model": model,
        "messages": list(question.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if question.temperature is not None:
        told["temperature"] = question.temperature
    if question.max_tokens is not None:
        told[profile.max_tokens_name] = question.max_tokens
    if question.schema is not None and profile.json_format == "json_schema":
        named = {"name": "answer", "schema": question.schema}
        told["response_format"] = {"type": "json_schema", "json_schema": named}
    elif question.schema is not None and profile.json_format == "json_object":
        told["response_format"] = {"type": "json_object"}
    return told


def _take(chunk: Any, reply: Reply, heard: Callable[[str], None]) -> None:
    reply.has_begun = True
    if chunk.usage is not None:
        reply.input_tokens = chunk.usage.prompt_tokens or 0
        reply.output_tokens = chunk.usage.completion_tokens or 0
    for choice in (chunk.choices or [])[:1]:
        piece = choice.delta.content if choice.delta else None
        if piece:
            reply.pieces.append(piece)
            reply.characters += len(piece)
            heard(piece)
        reply.finish_reason = choice.finish_reason or reply.finish_reason
    if reply.characters > MOST_CHARACTERS:
        raise QuestionRefused("The model's answer has no end.")
