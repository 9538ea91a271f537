"""A local socket that leads to the Docker socket of another machine, through ``ssh``."""

import contextlib
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.adapters.engines.errors import EngineUnavailable

CONNECT_TIMEOUT_S = 10
REMOTE_SOCKET = "/var/run/docker.sock"

_OPTIONS = {
    "BatchMode": "yes",  # a question would never be answered
    "ConnectTimeout": CONNECT_TIMEOUT_S,
    "ServerAliveInterval": 5,
    "ServerAliveCountMax": 3,
    "ExitOnForwardFailure": "yes",
    "ControlPath": "none",
    "ForwardAgent": "no",
    "ForwardX11": "no",
}


class SshTunnel:
    """One ``ssh`` process. It ends with this process, since it then reads the end of its input.

    ``url`` is ``ssh://[user@]host[:port][/path/of/the/socket]``. Keys and known hosts are those of
    the user, or what ``ssh_config`` in the folder says.
    """

    def __init__(self, url: str, *, folder: Path | None = None) -> None:
        self.url = url
        self._place = Path(tempfile.mkdtemp(prefix="quayline-ssh-"))
        self.socket_path = self._place / "docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with (self._place / "stderr").open("wb") as stderr:
                self._process = subprocess.Popen(
                    self._command(folder),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                )
            self._wait()
        except BaseException:
            self.close()
            raise

    def is_open(self) -> bool:
        """Tell whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Neither the process nor the socket is left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _command(self, folder: Path | None) -> list[str]:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if not host or host.startswith("-") or (parts.username or "").startswith("-"):
            raise EngineUnavailable(f"{self.url!r} names no host: ssh://user@host[:port].")
        remote = parts.path if len(parts.path) > 1 else REMOTE_SOCKET
        command = ["ssh", "-T"]
        if folder is not None and (folder / "ssh_config").is_file():
            command += ["-F", str(folder / "ssh_config")]
        for name, value in _OPTIONS.items():
            command += ["-o", f"{name}={value}"]
        command += ["-L", f"{self.socket_path}:{remote}"]
        if parts.port:
            command += ["-p", str(parts.port)]
        if parts.username:
            command += ["-l", parts.username]
        # It says that it is there, and stays for as long as we do.
        return [*command, "--", host, "echo ready; exec cat >/dev/null"]

    def _wait(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + 2 * CONNECT_TIMEOUT_S
        ready, _, _ = select.select([self._process.stdout], [], [], deadline - time.monotonic())
        if ready and self._process.stdout.read1(64) and self.socket_path.exists():  # type: ignore[attr-defined]
            return
        told = (self._place / "stderr").read_text(errors="replace").strip().splitlines()
        why = told[-1] if told else f"no answer within {2 * CONNECT_TIMEOUT_S} s"
        raise EngineUnavailable(f"The host {self.url} cannot be reached by ssh: {why.rstrip('.')}.")
