"""URLs of pages: whole, without fragment, and comparable."""

from urllib.parse import urljoin, urlsplit

from w3lib.url import canonicalize_url, safe_url_string

from pipeline.collect.state import digest_of

_MOST_CHARACTERS = 4096
_USUAL_PORTS = {"http": 80, "https": 443}


def absolute(base: str, link: str) -> str | None:
    """Return the page's whole URL as it is to be asked for; None where it is no web page's."""
    try:
        url = safe_url_string(urljoin(base, link.strip()).partition("#")[0])
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return url if usable and len(url) <= _MOST_CHARACTERS else None


def key_of(url: str) -> bytes:
    """Return what all URLs of a page share, whatever their order of queries, case and port."""
    parts = urlsplit(url)
    if parts.port == _USUAL_PORTS[parts.scheme]:
        url = parts._replace(netloc=parts.netloc.rpartition(":")[0]).geturl()
    return digest_of(canonicalize_url(url))


def host_of(url: str) -> str:
    """Return host and port, the latter also where it is the usual one."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _USUAL_PORTS[parts.scheme]}"


def name_of(host: str) -> str:
    """Return the host without its port, where that is a usual one."""
    name, _, port = host.rpartition(":")
    return name if int(port) in _USUAL_PORTS.values() else host
