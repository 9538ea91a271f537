"""Tokens by which programs and people are known to the HTTP side.

A token is random and shown once; its row keeps the SHA-256. That is looked up by its index, so no
comparison tells by its time how much of a guess was right, and 256 random bits need no slow hash.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pipeline.clock import new_id
from pipeline.errors import NotFound, Refused
from pipeline.store.database import as_uuid, dialect, execute, session, transaction
from pipeline.store.models import as_utc

#: What a token begins with, so that people and secret scanners know it.
PREFIX = "qlt_"
MOST_NAME = 200
#: As long as those that ``create`` makes are at least.
LEAST_SECRET = len(PREFIX) + 32
#: Ten years.
MOST_LIFE_S = 3660 * 86_400.0


class Role(StrEnum):
    """What its holder may do; each may what those before it may."""

    SUBMITTER = "submitter"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        """Tell whether the role is the needed one or above it."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token's row; the token itself is nowhere."""

    id: uuid.UUID
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create(
    owner: str, role: Role | str, *, name: str = "", expires_s: float | None = None
) -> tuple[ApiToken, str]:
    """Make a token; return its row and the token itself, which nobody can tell again."""
    _check(owner, role, name, expires_s)
    secret = PREFIX + secrets.token_urlsafe(32)
    sql = dialect()
    expires = "NULL" if expires_s is None else sql.later("%s")
    with transaction():
        [row] = execute(
            "INSERT INTO api_tokens (id, name, owner, role, digest, created_at, expires_at)"
            f" VALUES (%s, %s, %s, %s, %s, {sql.now}, {expires}) RETURNING {_COLUMNS}",
            *(new_id().hex, name, owner, str(role), _digest(secret)),
            *(() if expires_s is None else (expires_s,)),
        )
    return _token(row), secret


def adopt(secret: str, owner: str, *, dry_run: bool = False) -> int:
    """The administrator's token, which somebody else made, is known; 1 if it was not before.

    One that was revoked stays revoked. Raises ``Refused`` for one that could be guessed.
    """
    if not secret.startswith(PREFIX) or len(secret) < LEAST_SECRET or not secret.isascii():
        raise Refused(f"A token is {PREFIX} and at least {LEAST_SECRET - len(PREFIX)} characters.")
    if dry_run:
        with session():
            return int(not execute("SELECT 1 FROM api_tokens WHERE digest = %s", _digest(secret)))
    with transaction():
        rows = execute(
            "INSERT INTO api_tokens (id, name, owner, role, digest, created_at)"
            f" VALUES (%s, 'first', %s, %s, %s, {dialect().now})"
            " ON CONFLICT (digest) DO NOTHING RETURNING id",
            *(new_id().hex, owner, str(Role.ADMIN), _digest(secret)),
        )
    return len(rows)


def administrators() -> int:
    """Return how many tokens of administrators are taken."""
    with session():
        [(number,)] = execute(
            "SELECT count(*) FROM api_tokens WHERE role = %s AND revoked_at IS NULL"
            f" AND (expires_at IS NULL OR expires_at > {dialect().now})",
            str(Role.ADMIN),
        )
    return int(number)


def find(secret: str) -> ApiToken | None:
    """Return the row of a token that is known, not revoked and not expired; else None."""
    if not secret.startswith(PREFIX):
        return None
    with session():
        rows = execute(
            f"SELECT {_COLUMNS} FROM api_tokens WHERE digest = %s AND revoked_at IS NULL"
            f" AND (expires_at IS NULL OR expires_at > {dialect().now})",
            _digest(secret),
        )
    return _token(rows[0]) if rows else None


def listed() -> list[ApiToken]:
    """Return every token, the newest first, revoked and expired ones too."""
    with session():
        rows = execute(f"SELECT {_COLUMNS} FROM api_tokens ORDER BY id DESC")
    return [_token(row) for row in rows]


def revoke(token_id: uuid.UUID | str) -> ApiToken:
    """The token is taken no more; return its row. Once revoked it stays so."""
    try:
        wanted = token_id if isinstance(token_id, uuid.UUID) else uuid.UUID(token_id)
    except ValueError:
        raise NotFound(f"{token_id!r} is not the id of a token.") from None
    with transaction():
        rows = execute(
            f"UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, {dialect().now})"
            f" WHERE id = %s RETURNING {_COLUMNS}",
            wanted.hex,
        )
    if not rows:
        raise NotFound(f"There is no token {wanted}.")
    return _token(rows[0])


_COLUMNS = "id, name, owner, role, created_at, expires_at, revoked_at"


def _token(row: tuple[Any, ...]) -> ApiToken:
    token_id, name, owner, role, created, expires, revoked = row
    created_at = as_utc(created)
    assert created_at is not None
    told = (as_uuid(token_id), name, owner, Role(role), created_at)
    return ApiToken(*told, as_utc(expires), as_utc(revoked))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _check(owner: str, role: Role | str, name: str, expires_s: float | None) -> None:
    if role not in list(Role):
        raise Refused(f"There is no role {role!r}; there are {', '.join(Role)}.")
    if not owner or len(owner) > MOST_NAME or not owner.isprintable():
        raise Refused(f"An owner has 1 to {MOST_NAME} printable characters.")
    if len(name) > MOST_NAME or not name.isprintable():
        raise Refused(f"A token's name has at most {MOST_NAME} printable characters.")
    if expires_s is not None and not 0 < expires_s <= MOST_LIFE_S:
        raise Refused("A token's life is longer than nothing and at most ten years.")
