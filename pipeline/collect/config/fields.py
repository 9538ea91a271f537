"""The kinds of values that config documents are made of."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class Strict(BaseModel):
    """A part of a config document: unknown keys are refused, numbers are finite.

    ``repr`` shows no values, since any of them may be a password.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ()


class FromEnv(Strict):
    """A value that stands in an environment variable of the container instead of the document."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise ValueError(f"it is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it has to begin with http:// or https:// and name a host")
    return value


def _address(value: str) -> str:
    """Whole, or relative to the task's ``base_url``."""
    return _http_url(value) if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value) else value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"it is not a regular expression: {error}") from error
    return value


Text = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
Some = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}$")]
Address = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_address)]
HttpUrl = Annotated[str, Field(max_length=4096), AfterValidator(_http_url)]
Pattern = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_pattern)]
#: A password, token or key: text, or where in the environment it is.
Secret = Text | FromEnv
OutputFormat = Literal["json", "jsonl", "csv"]
