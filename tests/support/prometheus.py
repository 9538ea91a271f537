"""A real Prometheus and ``promtool``: what reads our figures, rules and queries for a living."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.servers import free_port
from tests.support.waiting import eventually
from tests.support.workers import ROOT, Process

DEPLOY = ROOT / "deploy" / "prometheus"
UNPACKED = ROOT / "build" / "prometheus" / "usr" / "bin"


def program(name: str) -> str:
    """Return the path of ``prometheus`` or ``promtool``; the test fails without it."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found is None:
        pytest.fail(f"There is no {name}. Run `make services` on Debian, or install Prometheus.")
    return found


def promtool(*arguments: str, told: str = "") -> tuple[int, str]:
    """Run promtool; return its exit code and what it said."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        input=told,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@dataclass
class Asked:
    """A Prometheus that runs somewhere, and what it answers."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data that the API answers; an error of a query fails the test."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """Return the values of an instant query by the values of their labels."""
        found = self.ask("query", query=expression)["result"]
        return {
            tuple(
                value for name, value in sorted(each["metric"].items()) if not name.startswith("_")
            ): float(each["value"][1])
            for each in found
        }

    def value(self, expression: str) -> float | None:
        """Return the one value of a query; None when there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def until(self, expression: str, value: float, *, within_s: float = 30) -> None:
        """Return once the query has that value."""

        def reached() -> bool:
            return self.value(expression) == value

        try:
            eventually(reached, within_s=within_s, what=f"{expression} is {value}", every_s=0.2)
        except AssertionError:
            print(f"{expression} is {self.value(expression)}")
            raise

    def healthy(self) -> bool:
        """Tell whether it answers."""
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


class Prometheus(Asked):
    """A server that scrapes the given addresses, by the names of deploy/prometheus's jobs."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        super().__init__(f"http://127.0.0.1:{free_port()}")
        config = self._config(targets)
        (folder / "prometheus.yml").write_text(config)
        shutil.copytree(DEPLOY / "rules", folder / "rules")
        command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
        command += [f"--web.listen-address={self.url.removeprefix('http://')}"]
        command += [f"--storage.tsdb.path={folder / 'data'}"]
        self.process = Process("prometheus", command, {"PATH": "/usr/bin:/bin"}, folder)

    def _config(self, targets: Mapping[str, str]) -> str:
        """Return the deployed configuration on these addresses, scraping every second."""
        text = (DEPLOY / "prometheus.yml").read_text()
        text = text.replace("_interval: 15s\n", "_interval: 1s\n")
        for job, address in targets.items():
            text, number = re.subn(
                rf"(job_name: {job}\n +)dns_sd_configs: .*",
                rf'\g<1>static_configs: [{{targets: ["{address}"]}}]',
                text,
            )
            assert number == 1, job
        return text


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Yield a running server; it is gone afterwards."""
    server = Prometheus(folder, targets)
    server.process.start()
    try:
        eventually(server.healthy, within_s=30, what="Prometheus answers", every_s=0.1)
        yield server
    finally:
        server.process.kill()
        server.process.show()
