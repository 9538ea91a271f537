"""The stack of ``deploy/compose.yaml``, run as an operator runs it, under a name of its own."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engines import (
    deployed_image,
    docker_client,
    docker_gateway,
    docker_socket,
    prometheus_image,
    server_image,
)
from tests.support.images import recipes
from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
COMMAND_S = 120.0


@dataclass
class Stack:
    """A compose project, and where its API and its Prometheus answer."""

    project: str
    variables: Path
    settings: Path
    api_url: str
    prometheus_url: str

    def compose(self, *arguments: str) -> str:
        """Run docker-compose on the project; return what it printed."""
        command = [*_program(), "-p", self.project, "-f", str(COMPOSE), "--profile", "containers"]
        # Nothing of this process's environment replaces a variable of the file.
        plain = {
            name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ
        }
        done = subprocess.run(
            [*command, "--env-file", str(self.variables), *arguments],
            env={**plain, "QUAYLINE_ENVIRONMENT": str(self.settings)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def config(self) -> dict[str, Any]:
        """Return the file as docker-compose understands it."""
        return dict(yaml.safe_load(self.compose("config")))

    def execute(self, service: str, *command: str) -> str:
        """Run a command in the service's container; return what it printed."""
        return self.compose("exec", "-T", service, *command)

    def container(self, service: str) -> dict[str, Any]:
        """Return what Docker says of the service's container."""
        with docker_client() as client:
            return dict(client.inspect_container(self.compose("ps", "-q", service).strip()))

    def address(self, service: str) -> str:
        """Return the address of the service's container on the network of the stack."""
        networks = self.container(service)["NetworkSettings"]["Networks"]
        return str(networks[f"{self.project}_default"]["IPAddress"])

    def deployment(self) -> str:
        """Return the id of the deployment, which its database has."""
        query = 'PGPASSWORD="$POSTGRES_PASSWORD" psql -At -h 127.0.0.1 -U quayline -c "$0"'
        return self.execute("postgres", "sh", "-c", query, "SELECT id FROM deployment").strip()


@contextmanager
def running_stack(folder: Path, services: Sequence[str], settings: str) -> Iterator[Stack]:
    """Yield the stack with these services up, under these settings (lines of an environment file);
    nothing of it is left afterwards."""
    api, figures, callbacks = free_port(), free_port(), f"{docker_gateway()}:{free_port()}"
    told = {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "RABBITMQ_PASSWORD": secrets.token_hex(16),
        "GRAFANA_PASSWORD": secrets.token_hex(16),
        "POSTGRES_IMAGE": server_image("postgres"),
        "RABBITMQ_IMAGE": server_image("rabbitmq"),
        "PROMETHEUS_IMAGE": prometheus_image(),
        "WORKER_IMAGE": deployed_image("worker"),
        "SCHEDULER_IMAGE": deployed_image("scheduler"),
        "API_IMAGE": deployed_image("api"),
        "API_PORT": str(api),
        "PROMETHEUS_PORT": str(figures),
        "DOCKER_GROUP": str(Path(docker_socket()).stat().st_gid),
        "CALLBACK_LISTEN": callbacks,
        "CALLBACK_URL": f"http://host.docker.internal:{callbacks.rpartition(':')[2]}",
    }
    variables, environment = folder / ".env", folder / "quayline.env"
    variables.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    environment.write_text(settings)
    # A name of this checkout's own: what a run that was killed has left is found and removed.
    project = f"quayline-stack-{recipes.digest(str(ROOT))}"
    urls = (f"http://127.0.0.1:{port}" for port in (api, figures))
    stack = Stack(project, variables, environment, *urls)
    stack.compose("down", "-v", "-t", "10")
    try:
        stack.compose("up", "-d", "--no-build", *services)
        yield stack
    finally:
        print(stack.compose("ps"))
        print(stack.compose("logs", "--no-color", "--tail", "40")[-20_000:])
        stack.compose("down", "-v", "-t", "10")


def _program() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    program = shutil.which("docker")
    if (
        program
        and not subprocess.run([program, "compose", "version"], capture_output=True).returncode
    ):
        return [program, "compose"]
    pytest.fail("docker-compose is not installed: run `make services`.", pytrace=False)
