"""Passwords, tokens and keys: read from where they are, and kept out of logs and reports."""

import logging
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel

from pipeline.collect.config.api import ApiKeyAuth, BasicAuth, BearerAuth, OAuth2Auth
from pipeline.collect.config.database import Source, Target
from pipeline.collect.config.fields import FromEnv
from pipeline.collect.errors import ConfigRefused

_HIDDEN = "***"
# Shorter ones would blot out innocent text, and protect nothing.
_LEAST_LENGTH = 4
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_FIELDS: dict[type[BaseModel], tuple[str, ...]] = {
    BasicAuth: ("password",),
    BearerAuth: ("token",),
    ApiKeyAuth: ("key",),
    OAuth2Auth: ("client_secret",),
    Source: ("password", "url"),
    Target: ("password", "url"),
}
_SECRET_NAMES = re.compile(r"auth|token|key|secret|password|cookie|signature|credential", re.I)


def reveal(value: str | FromEnv) -> str:
    """Return the text itself; raises ``ConfigRefused`` where its variable is not set."""
    if isinstance(value, str):
        return value
    told = os.environ.get(value.env)
    if told is None:
        raise ConfigRefused(
            f"The environment variable {value.env} is not set, the config needs it."
        )
    return told


def shown(url: str) -> str:
    """Return a URL as it may be logged: without user, password, query and fragment."""
    cut = _USERINFO.sub("", url).partition("#")[0]
    path, asked, _ = cut.partition("?")
    return path + ("?…" if asked else "")


class Redaction(logging.Filter):
    """Takes known secrets, and user and password of any URL, out of text and log records."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, document: BaseModel) -> None:
        """From now on hides every secret of the document, also as it looks within a URL."""
        for secret in _secrets(document):
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """From now on hides this one."""
        if len(secret) >= _LEAST_LENGTH:
            self._known |= {secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(_HIDDEN, text)
        return _USERINFO.sub(f"{_HIDDEN}@", text)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self.clean(logging.Formatter().formatException(record.exc_info))
        return True


def _secrets(part: Any) -> Iterator[str]:
    """Every secret in a document; what is not set in the environment hides itself."""
    if isinstance(part, FromEnv):
        yield os.environ.get(part.env, "")
    elif isinstance(part, BaseModel):
        for name in _SECRET_FIELDS.get(type(part), ()):
            yield from _told(getattr(part, name))
        for name in type(part).model_fields:
            yield from _secrets(getattr(part, name))
    elif isinstance(part, dict):
        for name, value in part.items():
            if isinstance(value, str) and _SECRET_NAMES.search(str(name)):
                yield value
            yield from _secrets(value)
    elif isinstance(part, list):
        for each in part:
            yield from _secrets(each)


def _told(value: str | FromEnv | None) -> Iterator[str]:
    text = os.environ.get(value.env, "") if isinstance(value, FromEnv) else value or ""
    if "://" not in text:
        yield text
        return
    try:
        yield urlsplit(text).password or ""
    except ValueError:
        yield text
