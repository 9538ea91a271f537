"""The way to one Docker daemon: its client, opened when it is first needed, and typed errors."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, create_api_error_from_http_exception
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter

from pipeline.adapters.engines.docker_socket import SocketAdapter
from pipeline.adapters.engines.errors import EngineUnavailable, NoSuchContainer
from pipeline.adapters.engines.ssh_tunnel import SshTunnel

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
DEFAULT_SOCKET = "/var/run/docker.sock"
#: Longest sentence of a daemon that is passed on.
MOST_SENTENCE = 1000


#: Where the SDK mounts its way to a Unix socket.
_SOCKET = "http+docker://"


class _Client(docker.APIClient):
    """The SDK's client, with a timeout of its own for connecting.

    Variables of the environment (proxies, bundles of certificates) have no say: the latter would
    take the place of the host's own authority.
    """

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        kwargs["timeout"] = (CONNECT_TIMEOUT_S, kwargs.get("timeout", self.timeout))
        return kwargs

    def _retrieve_server_version(self) -> str:
        # The constructor's own request, the first of all.
        self.trust_env = False
        leaky = self.adapters.get(_SOCKET)
        if isinstance(leaky, UnixHTTPAdapter):
            self.mount(_SOCKET, SocketAdapter.like(leaky))
        return str(super()._retrieve_server_version())


class Daemon:
    """Asks one daemon. Thread-safe."""

    def __init__(
        self, url: str, *, certs: Path | None = None, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self.url = url or default_url()
        self.timeout_s = timeout_s
        self._certs = certs
        self._lock = threading.Lock()
        self._client: Any = None
        self._tunnel: SshTunnel | None = None

    @property
    def is_local(self) -> bool:
        """True when it is asked through a socket of this machine."""
        return self.url.startswith("unix://")

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """Give the client; what it raises, and nobody expects, becomes ``EngineUnavailable``."""
        try:
            yield self._connected()
        except APIError as error:
            raise self._unavailable(sentence(error)) from error
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(str(error)) from error
        except OSError as error:
            raise self._unavailable(str(error)) from error

    @contextmanager
    def streamed(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """Give the raw body of the answer to a GET, to be read piece by piece.

        Raises ``NoSuchContainer``.
        """
        with self.asked() as client:
            response = client.get(
                f"{client.base_url}/v{client.api_version}{quote(path)}",
                params=params,
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=(CONNECT_TIMEOUT_S, self.timeout_s),
            )
            with response:
                if response.status_code in (404, 409):
                    raise NoSuchContainer("There is no such container.")
                try:
                    response.raise_for_status()
                except requests.HTTPError as error:
                    raise create_api_error_from_http_exception(error) from error
                yield response.raw

    def close(self) -> None:
        """No connection is held."""
        with self._lock:
            self._forget()

    def _connected(self) -> Any:
        with self._lock:
            if self._tunnel is not None and not self._tunnel.is_open():
                self._forget()
            if self._client is None:
                self._client = self._open()
            return self._client

    def _forget(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None

    def _open(self) -> Any:
        url, tls = self.url, self._tls()
        if url.startswith("ssh://"):
            self._tunnel = SshTunnel(url, folder=self._certs)
            url = f"unix://{self._tunnel.socket_path}"
        try:
            return _Client(url, version="auto", timeout=self.timeout_s, tls=tls)
        except BaseException:
            # The tunnel is there, and nobody behind it.
            self._forget()
            raise

    def _tls(self) -> TLSConfig | bool:
        if not self.url.startswith("tcp://") or self._certs is None:
            return False
        files = {name: str(self._certs / f"{name}.pem") for name in ("ca", "cert", "key")}
        return TLSConfig(
            client_cert=(files["cert"], files["key"]), ca_cert=files["ca"], verify=True
        )

    def _unavailable(self, why: str) -> EngineUnavailable:
        told = why.strip().rstrip(".")[:MOST_SENTENCE]
        return EngineUnavailable(f"The Docker host {self.url} does not answer: {told}.")


#: What a daemon says, with status 500, of troubles that are not the container's.
_HOST_TROUBLES = (
    "no space left",
    "disk quota exceeded",
    "input/output error",
    "read-only file system",
    "too many open files",
    "cannot allocate memory",
    "resource temporarily unavailable",
    "deadline exceeded",
    "context canceled",
    "timeout",
    "timed out",
    "connection refused",
    "transport is closing",
    "shutting down",
    "containerd",
)


def is_hosts(error: APIError) -> bool:
    """Tell whether the refusal is about the host, not about what was asked of it."""
    if error.status_code in (502, 503, 504):
        return True
    told = sentence(error).lower()
    return error.is_server_error() and any(trouble in told for trouble in _HOST_TROUBLES)


def sentence(error: APIError) -> str:
    """Return what the daemon said of its refusal."""
    return str(error.explanation or error).strip()[:MOST_SENTENCE]


def default_url() -> str:
    """Return where a daemon is by default: ``DOCKER_HOST``, or the usual socket."""
    if told := os.environ.get("DOCKER_HOST"):
        return told
    own = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "docker.sock"
    if own.exists() and not Path(DEFAULT_SOCKET).exists():
        return f"unix://{own}"
    return f"unix://{DEFAULT_SOCKET}"
