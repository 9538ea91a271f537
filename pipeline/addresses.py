"""Whether the URLs of the settings can be used, as far as that can be told without asking a server.

Each function returns the URL, its scheme in small letters, or raises ``ValueError`` with a sentence
that repeats no secret.
"""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

Network = IPv4Network | IPv6Network

AMQP = ("amqp", "amqps")
POSTGRES = ("postgresql", "postgres")
SQLITE = "sqlite:///"

_QUOTING = "in a password : / ? # @ [ ] are written as %3A %2F %3F %23 %40 %5B %5D."
_WHOLE = re.compile(r"[0-9]{1,9}")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def broker(url: str) -> str:
    """Return the broker's URL: one that RabbitMQ's client takes, or ``memory://``."""
    url = _told(url)
    if url.startswith("memory:"):
        return url
    parts = _parts(url)
    if parts.scheme not in AMQP:
        raise ValueError("It must begin with amqp://, amqps:// or memory://.")
    _check_port(parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2])
    import pika  # an embedded process needs none

    try:
        pika.URLParameters(_without_user(parts))
    except Exception as error:
        raise ValueError(f"RabbitMQ's client does not take it: {_why(error)}") from error
    return url


def database(url: str) -> str:
    """Return the database's URL: one that libpq takes, or a file; empty stays empty."""
    url = _told(url)
    if not url:
        return url
    if url.startswith("sqlite:"):
        return _sqlite(url)
    parts = _parts(url)
    if parts.scheme not in POSTGRES or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(f"It must begin with postgresql:// or {SQLITE}.")
    # An embedded process needs no driver of PostgreSQL.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        told = conninfo_to_dict(_without_user(parts))
    except ProgrammingError as error:
        raise ValueError(f"PostgreSQL's client does not take it: {_why(error)}") from error
    # There may be several hosts, each with its port.
    for port in str(told.get("port", "")).split(","):
        _check_port(port)
    if not _WHOLE.fullmatch(str(told.get("connect_timeout", "0"))):
        raise ValueError("Its connect_timeout is no whole number.")
    return url


def storage(url: str) -> str:
    """Return the storage's folder or URL; empty stays empty."""
    url = _told(url)
    if "::" in url or url.startswith("data:"):
        raise ValueError("It must be one place to keep files in, no chain of them (`::`), no data.")
    if "://" not in url:
        folder(Path(url))
        return url
    import fsspec  # a folder of this machine needs its name only

    protocol = url.partition("://")[0]
    if protocol not in fsspec.available_protocols():
        raise ValueError(f"There is no kind of storage named {protocol!r}.")
    return url


def folder(path: Path) -> Path:
    """Return the path, absolute, the home folder filled in."""
    if "\0" in str(path):
        raise ValueError("A name of a folder has no NUL.")
    try:
        return path.expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise ValueError(f"There is no such folder here: {_why(error)}") from error


def _told(url: str) -> str:
    scheme, colon, rest = url.strip().partition(":")
    if "\0" in url:
        raise ValueError("A URL has no NUL.")
    return f"{scheme.lower()}{colon}{rest}" if rest.startswith("/") else url.strip()


def _sqlite(url: str) -> str:
    name = url.removeprefix(SQLITE)
    if name == url or not name or name == ":memory:":
        raise ValueError(f"A file must follow {SQLITE}.")
    if os.path.isdir(folder(Path(name))):
        raise ValueError("It names a folder; a file is wanted.")
    return url


def networks(told: str) -> list[Network]:
    """Return the networks of a comma-separated list; one address is a network of its own."""
    found: list[Network] = []
    for each in filter(None, (part.strip() for part in told.split(","))):
        try:
            found.append(ip_network(each))
        except ValueError:
            raise ValueError(f"{each[:50]!r} is no network; one is 10.0.0.0/8.") from None
    return found


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"Its host is malformed; {_QUOTING}") from None
    if "@" in url and "@" not in parts.netloc:
        raise ValueError(f"It has an @ after its host; {_QUOTING}")
    return parts


def _check_port(port: str) -> None:
    if port and not (_WHOLE.fullmatch(port) and int(port) < 2**16):
        raise ValueError(f"Its port is none; {_QUOTING}")


def _without_user(parts: SplitResult) -> str:
    """Return the URL without user and password: so no complaint about it repeats them."""
    user, _, place = parts.netloc.rpartition("@")
    if _STRAY_PERCENT.search(user):
        raise ValueError("A % in a user or password is written as %25.")
    # By hand: urlunsplit drops the // before an empty host.
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{place}{parts.path}{query}"


def _why(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".") + "."
