"""A Docker engine of the tests' own, which may be killed and restarted."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.support.waiting import eventually

START_S = 60.0
STOP_S = 60.0


class Dockerd:
    """One engine below a folder, without a bridge, in a network of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder / 'docker.sock'}"

    def start(self) -> None:
        """Return once it answers."""
        # An engine without a bridge removes the one that another engine of this machine has.
        command = [
            *(
                "unshare",
                "--net",
                "dockerd",
                "--host",
                self.url,
                "--pidfile",
                str(self._folder / "pid"),
            ),
            *("--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "exec")),
            *("--bridge", "none", "--iptables=false", "--ip-forward=false", "--log-level", "warn"),
        ]
        with (self._folder / "log").open("ab") as log:
            self._popen = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        eventually(self._answers, within_s=START_S, what="dockerd answers", every_s=0.2)

    def stop(self) -> None:
        """It ends as for a restart: its containers are stopped first."""
        assert self._popen is not None
        self._popen.terminate()
        self._popen.wait(STOP_S)

    def _answers(self) -> bool:
        assert self._popen is not None
        assert self._popen.poll() is None, (self._folder / "log").read_text()[-3000:]
        asked = subprocess.run([*self._docker, "version"], capture_output=True, timeout=30)
        return asked.returncode == 0

    @property
    def _docker(self) -> tuple[str, ...]:
        return ("docker", "--host", self.url)

    @contextmanager
    def client(self) -> Iterator[docker.APIClient]:
        """Give the SDK's client."""
        client = docker.APIClient(self.url, version="auto", timeout=60)
        try:
            yield client
        finally:
            client.close()

    def take(self, image: str) -> None:
        """Have the image of that name, too."""
        archive = self._folder / "image.tar"
        save = ["docker", "save", "--output", str(archive), image]
        for command in (save, [*self._docker, "load", "--input", str(archive)]):
            subprocess.run(command, check=True, capture_output=True, timeout=120)


@contextmanager
def own_dockerd() -> Iterator[Dockerd]:
    """Yield an engine; afterwards nothing of it is left."""
    # A socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/var/tmp"))
    engine = Dockerd(folder)
    try:
        engine.start()
        yield engine
        with engine.client() as client:
            for container in client.containers(all=True):
                client.remove_container(container["Id"], force=True, v=True)
    finally:
        engine.stop()
        for mount in sorted(_mounts_below(folder), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(str(folder))]
