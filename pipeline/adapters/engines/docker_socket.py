"""The SDK's way to a Unix socket, without its leak: a connection that fails is closed."""

import socket
from typing import Any

from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)


class SocketAdapter(UnixHTTPAdapter):
    """Sends requests through the socket."""

    @classmethod
    def like(cls, adapter: UnixHTTPAdapter) -> "SocketAdapter":
        """Return one for the same socket."""
        return cls(
            f"http+unix://{adapter.socket_path}",
            timeout=adapter.timeout,
            max_pool_size=adapter.max_pool_size,
        )

    def get_connection(self, url: str, proxies: Any = None) -> "_Pool":
        """Return the connections for the address."""
        with self.pools.lock:
            pool: _Pool | None = self.pools.get(url)
            if pool is None:
                pool = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
                self.pools[url] = pool
            return pool


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> "_Connection":
        return _Connection(self.base_url, self.socket_path, self.timeout)


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(self.timeout)
            opened.connect(self.unix_socket)
        except BaseException:
            opened.close()
            raise
        self.sock = opened
