"""What the SDK raises, in our words. No key is told: a server may repeat it in its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import openai

from pipeline.adapters.models.errors import KeyRefused, ModelAway, ModelBusy, QuestionRefused
from pipeline.errors import QuaylineError

#: So much of a server's words is told.
MOST_WORDS = 500
#: Statuses of an endpoint that may answer later.
LATER = frozenset({408, 409, 425, 429})
#: OpenAI's code for an account that is empty: waiting does not help.
NO_QUOTA = "insufficient_quota"
#: What the SDK takes for a header that is not sent.
NO_HEADER = openai.Omit()


@contextmanager
def told(profile: str, key: str) -> Iterator[None]:
    """Raise the errors of the block as ours."""
    try:
        yield
    except QuaylineError:
        raise
    except openai.APIStatusError as error:
        raise _of_status(error, profile, key) from None
    except openai.APITimeoutError:
        raise ModelAway(f"The endpoint {profile} was silent for too long.") from None
    except openai.APIConnectionError:
        raise ModelAway(f"The connection to the endpoint {profile} failed.") from None
    except openai.APIError as error:
        # It came within a stream, or is no answer that the SDK understands.
        words = _words(error.message, key)
        raise ModelAway(f"The endpoint {profile} broke off: {words}") from None
    except (ValueError, TypeError, AttributeError) as error:
        # The SDK takes what comes for what it should be.
        raise ModelAway(f"The endpoint {profile} gave an answer that is none.") from error


def _of_status(error: openai.APIStatusError, profile: str, key: str) -> QuaylineError:
    status, words = error.status_code, _words(_message(error), key)
    if status in (401, 403):
        return KeyRefused(f"The endpoint {profile} does not take its profile's key ({status}).")
    if error.code == NO_QUOTA:
        return KeyRefused(f"The account of the profile {profile} has no quota left.")
    after_s = retry_after_s(error.response.headers.get("retry-after"))
    if status in LATER or (status == 503 and after_s is not None):
        return ModelBusy(f"The endpoint {profile} is busy ({status}): {words}", after_s=after_s)
    if status >= 500:
        return ModelAway(f"The endpoint {profile} failed ({status}): {words}")
    return QuestionRefused(f"The endpoint {profile} refuses this ({status}): {words}")


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    found = body.get("message") if isinstance(body, dict) else None
    return found if isinstance(found, str) else error.message


def _words(text: str, key: str) -> str:
    text = text.replace(key, "***") if key else text
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line[:MOST_WORDS]


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` says, as a number or a date; None for nonsense."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
