"""Profiles of model endpoints: where they are and by which key, under names for submitters.

Those of ``QUAYLINE_MODELS``, in their order, then ``openai``, ``xai`` and ``vertex`` where the
variables are set that their makers' tools know. Whoever names none gets the first.
"""

import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from pipeline.errors import Permanent
from pipeline.states import Reason

#: How a file is named in place of the profiles themselves.
FILE = "@"


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("a base_url begins with http:// or https://, and holds no password")
    return value


class Profile(BaseModel):
    """One endpoint. Without ``key``, ``key_file`` and ``auth`` it is asked without a key.

    ``key_file`` is read at each call. ``models``: patterns of those that a submitter may name;
    empty: any. ``timeout_s``: the longest silence of the endpoint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: Annotated[str, AfterValidator(_address)]
    key: SecretStr = SecretStr("")
    key_file: Path | None = None
    auth: Literal["key", "google"] = "key"
    model: str = ""
    models: list[str] = []
    headers: dict[str, SecretStr] = {}
    timeout_s: float = Field(120.0, gt=0, le=3600)
    #: How an answer in JSON is asked for beside the words: older servers know less.
    json_format: Literal["json_schema", "json_object", "none"] = "json_object"
    #: OpenAI's newer models do not know the older name.
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    def named(self, name: str, profile: str) -> str:
        """Return the model to be asked; ``Permanent`` (bad request) for one that is not allowed."""
        model = name or self.model
        if not model:
            raise _mistake(f"The profile {profile} has no model of its own: name one.")
        if self.models and not any(fnmatchcase(model, each) for each in self.models):
            raise _mistake(f"The profile {profile} does not allow the model {model[:200]!r}.")
        return model


_PROFILES = TypeAdapter(dict[str, Profile])


def profiles(told: str) -> dict[str, Profile]:
    """Return the profiles by name, those of the setting first.

    Raises ``Permanent`` when the setting cannot be used; nothing of it is told.
    """
    found = _read(told)
    return {**found, **{name: each for name, each in _built_in().items() if name not in found}}


def chosen(name: str, told: str) -> tuple[str, Profile]:
    """Return the profile of that name, or the first; ``Permanent`` (bad request) names those that
    there are."""
    known = profiles(told)
    if not known:
        raise _mistake(
            "This worker has no model endpoint: set QUAYLINE_MODELS, OPENAI_API_KEY, XAI_API_KEY or"
            " VERTEX_PROJECT_ID."
        )
    found = name or next(iter(known))
    if found not in known:
        raise _mistake(f"There is no profile {name[:200]!r}; there are {', '.join(known)}.")
    return found, known[found]


def _read(told: str) -> dict[str, Profile]:
    if not told.strip():
        return {}
    try:
        text = Path(told[1:]).read_text(encoding="utf-8") if told.startswith(FILE) else told
        return _PROFILES.validate_python(json.loads(text))
    except OSError as error:
        raise _unusable(f"its file cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(f"{place}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise _unusable("it is no JSON") from None


def _built_in(environment: Mapping[str, str] = os.environ) -> dict[str, Profile]:
    found: dict[str, dict[str, Any]] = {}
    if key := environment.get("OPENAI_API_KEY"):
        found["openai"] = {
            **{"base_url": "https://api.openai.com/v1", "key": key},
            "max_tokens_name": "max_completion_tokens",
        }
    if key := environment.get("XAI_API_KEY"):
        found["xai"] = {"base_url": "https://api.x.ai/v1", "key": key}
    if project := environment.get("VERTEX_PROJECT_ID"):
        location = environment.get("VERTEX_LOCATION") or "global"
        found["vertex"] = {"base_url": _vertex(project, location), "auth": "google"}
    return {name: Profile(**each) for name, each in found.items()}


def _vertex(project: str, location: str) -> str:
    """Return Vertex AI's address for whoever speaks OpenAI's protocol."""
    host = "aiplatform.googleapis.com"
    host = host if location == "global" else f"{location}-{host}"
    return f"https://{host}/v1/projects/{project}/locations/{location}/endpoints/openapi"


def _mistake(message: str) -> Permanent:
    return Permanent(message, reason=Reason.BAD_REQUEST)


def _unusable(why: str) -> Permanent:
    return Permanent(f"The setting QUAYLINE_MODELS cannot be used: {why}.")
