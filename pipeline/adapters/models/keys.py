"""The key that a call of an endpoint carries."""

import asyncio
import threading
from typing import Any

from pipeline.adapters.models.errors import KeyRefused, ModelAway
from pipeline.adapters.models.profiles import Profile

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


async def key_of(profile: Profile, name: str) -> str:
    """Return the key, read or asked for now; "" where the endpoint needs none.

    Raises ``KeyRefused`` where there is none, ``ModelAway`` where it cannot be had now.
    """
    if profile.auth == "google":
        # It asks over the network, and waits for that.
        return await asyncio.to_thread(_google_token, name)
    key = profile.key.get_secret_value()
    if profile.key_file is not None:
        try:
            key = profile.key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise KeyRefused(f"The key file of the profile {name} cannot be read.") from None
    if not (key.isascii() and key.isprintable()):
        raise KeyRefused(f"The key of the profile {name} has characters that no key has.")
    return key


_credentials: Any = None
_lock = threading.Lock()


def _google_token(name: str) -> str:
    """Return a token by Google's application default credentials, a new one where it has lapsed."""
    global _credentials
    try:
        import google.auth
        from google.auth import exceptions
        from google.auth.transport.requests import Request
    except ImportError:
        raise KeyRefused(
            f"The profile {name} needs Google's credentials: pip install 'quayline[vertex]'."
        ) from None
    with _lock:
        try:
            if _credentials is None:
                _credentials, _ = google.auth.default(scopes=SCOPES)
            if not _credentials.valid:
                _credentials.refresh(Request())
        except exceptions.DefaultCredentialsError:
            raise KeyRefused(f"The profile {name} finds no credentials of Google here.") from None
        except exceptions.GoogleAuthError as error:
            if isinstance(error, exceptions.TransportError) or error.retryable:
                raise ModelAway(f"Google gives no token for the profile {name} now.") from None
            raise KeyRefused(f"Google refuses the credentials of the profile {name}.") from None
        return str(_credentials.token)
