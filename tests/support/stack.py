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

from tests.support.engines import deployed_image, docker_client, server_image
from tests.support.images import recipes
from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
COMMAND_S = 120.0


@dataclass
class Stack:
    """A compose project, and where its API answers."""

    project: str
    variables: Path
    api_url: str

    def compose(self, *arguments: str) -> str:
        """Run docker-compose on the project; return what it printed."""
        command = [*_program(), "-p", self.project, "-f", str(COMPOSE)]
        # Nothing of this process's environment replaces a variable of the file.
        plain = {
            name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ
        }
        done = subprocess.run(
            [*command, "--env-file", str(self.variables), *arguments],
            env={**plain, "QUAYLINE_ENVIRONMENT": str(ROOT / "deploy" / "environment.sample")},
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


@contextmanager
def running_stack(folder: Path, services: Sequence[str]) -> Iterator[Stack]:
    """Yield the stack with these services up; nothing of it is left afterwards."""
    port = free_port()
    told = {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "RABBITMQ_PASSWORD": secrets.token_hex(16),
        "GRAFANA_PASSWORD": secrets.token_hex(16),
        "POSTGRES_IMAGE": server_image("postgres"),
        "RABBITMQ_IMAGE": server_image("rabbitmq"),
        "WORKER_IMAGE": deployed_image("worker"),
        "SCHEDULER_IMAGE": deployed_image("scheduler"),
        "API_IMAGE": deployed_image("api"),
        "API_PORT": str(port),
    }
    variables = folder / ".env"
    variables.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    # A name of this checkout's own: what a run that was killed has left is found and removed.
    project = f"quayline-stack-{recipes.digest(str(ROOT))}"
    stack = Stack(project, variables, f"http://127.0.0.1:{port}")
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
