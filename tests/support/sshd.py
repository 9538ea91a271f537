"""An ssh server of a test's own, on a port of 127.0.0.1, with keys of its own."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.waiting import eventually

_TIMEOUT_S = 60


@dataclass(frozen=True)
class SshHost:
    """``address`` is user@host:port; ``folder`` has the ``ssh_config`` that lets one in."""

    address: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    def hang_up(self) -> None:
        """End every session; new ones are taken."""
        for session in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                session.send_signal(signal.SIGKILL)


@contextmanager
def sshd(folder: Path) -> Iterator[SshHost]:
    """Give a server that lets this user in."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if program is None:
        raise RuntimeError("No sshd: run `make services`, or apt-get install openssh-server.")
    port = _free_port()
    for name in ("host", "user"):
        _keygen(folder / name)
    _write_configs(folder, port)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "sshd.log").open("wb") as log:
        command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
    host = SshHost(f"{getpass.getuser()}@127.0.0.1:{port}", folder, process)
    try:
        eventually(lambda: _answers(port), within_s=20, what="the ssh server answers")
        yield host
    finally:
        host.hang_up()
        process.terminate()
        process.wait(_TIMEOUT_S)


def _write_configs(folder: Path, port: int) -> None:
    authorized = folder / "authorized_keys"
    shutil.copyfile(folder / "user.pub", authorized)
    authorized.chmod(0o600)
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {authorized}\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    (folder / "ssh_config").write_text(
        f"IdentityFile {folder / 'user'}\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {folder / 'known_hosts'}\n"
    )


def _keygen(file: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), 1)) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
