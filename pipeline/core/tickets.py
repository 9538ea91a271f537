"""Tickets: what lets a browser look at what goes on, for a while, without a token of ours.

A backend makes one with its API token, for one of its jobs or for one of its users, and hands it
on. It is no row: its word is signed with the deployment's secret and cannot be taken back, so its
life is short.
"""

import base64
import binascii
import hashlib
import hmac
import time
import uuid
from dataclasses import dataclass

from pipeline import jsontext
from pipeline.core import documents, executions
from pipeline.errors import Refused

#: What a ticket begins with, so that people and secret scanners know it.
PREFIX = "qls_"
MOST_LIFE_S = 86_400
#: Nobody's ticket is longer.
MOST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Ticket:
    """What its holder may look at: jobs of that owner, of these those for a user, or one."""

    owner: str
    expires_at: float
    user_id: str | None = None
    job_id: uuid.UUID | None = None

    @property
    def is_over(self) -> bool:
        """True when it is taken no more."""
        return time.time() >= self.expires_at


def issue(
    owner: str, life_s: float, *, user_id: str | None = None, job_id: uuid.UUID | None = None
) -> tuple[Ticket, str]:
    """Return a ticket and its text; ``Refused`` for one that lives too long."""
    if not 0 < life_s <= MOST_LIFE_S:
        raise Refused(f"A ticket lives from 1 to {MOST_LIFE_S} seconds.")
    ticket = Ticket(owner, round(time.time() + life_s), user_id, job_id)
    told = {"o": owner, "e": ticket.expires_at, "u": user_id, "j": job_id and job_id.hex}
    word = base64.urlsafe_b64encode(jsontext.encoded(told)).decode().rstrip("=")
    return ticket, f"{PREFIX}{word}.{_signed(word)}"


def read(text: str) -> Ticket | None:
    """Return the ticket; None for a text that is none of ours, or whose time is over."""
    word, _, mark = text.removeprefix(PREFIX).partition(".")
    if len(text) > MOST_TEXT or not text.startswith(PREFIX):
        return None
    if not hmac.compare_digest(_signed(word).encode(), mark.encode("utf-8", "replace")):
        return None
    try:
        told = documents.loaded(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        job_id = uuid.UUID(told["j"]) if told["j"] else None
        ticket = Ticket(told["o"], told["e"], told["u"], job_id)
    except (binascii.Error, ValueError, KeyError):
        return None
    return None if ticket.is_over else ticket


def _signed(word: str) -> str:
    secret = executions.deployment().secret.encode()
    return hmac.new(secret, f"ticket:{word}".encode(), hashlib.sha256).hexdigest()[:40]
