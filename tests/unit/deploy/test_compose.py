"""The compose file, as far as it can be read without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.roles import RoleName
from pipeline.settings import Settings

DEPLOY = Path(__file__).parents[3] / "deploy"
SECRET = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Its services."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def test_every_role_has_its_worker(services: dict[str, Any]) -> None:
    for role in set(RoleName) - {RoleName.ALL}:
        assert services[f"worker-{role}"]["command"][:4] == ["quayline", "worker", "--role", role]


def test_only_containers_need_the_engine_and_only_on_request(services: dict[str, Any]) -> None:
    with_socket = {name for name, told in services.items() if "docker.sock" in str(told)}
    assert with_socket == {"worker-containers"}
    on_request = {name for name, told in services.items() if told.get("profiles")}
    assert on_request == {"worker-containers", "api-containers"}
    assert all(services[name]["profiles"] == ["containers"] for name in on_request)


def test_everything_is_bounded_and_comes_back(services: dict[str, Any]) -> None:
    for name, told in services.items():
        assert told["restart"] == "unless-stopped", name
        assert "mem_limit" in told, name
        assert told["logging"]["options"]["max-size"], name


def test_no_secret_stands_in_the_file(services: dict[str, Any]) -> None:
    for name, told in services.items():
        for variable, value in told.get("environment", {}).items():
            if re.search(r"PASS|_URL$", variable) and "://" not in value:
                assert SECRET.fullmatch(value), f"{name}: {variable}"
            if re.match(r"(postgresql|amqp)://", value):
                assert SECRET.search(value), f"{name}: {variable}"


def test_every_variable_of_ours_is_a_setting(services: dict[str, Any]) -> None:
    known = {f"QUAYLINE_{name.upper()}" for name in Settings.model_fields}
    named = {each for told in services.values() for each in told.get("environment", {})}
    assert {each for each in named if each.startswith("QUAYLINE_")} <= known


def test_ports_open_on_this_machine_alone(services: dict[str, Any]) -> None:
    servers = yaml.safe_load((DEPLOY / "compose.servers.yaml").read_text())["services"]
    told = {name: told.get("ports", []) for name, told in (*services.items(), *servers.items())}
    # Docker's own bridge: containers of this machine, and the machine itself.
    [callbacks] = told.pop("api-containers")
    assert callbacks.startswith("${CALLBACK_LISTEN:-172.17.0.1:")
    ports = [port for each in told.values() for port in each]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_containers_are_told_where_the_api_for_them_listens(services: dict[str, Any]) -> None:
    told = services["worker-containers"]["environment"]["QUAYLINE_API_URL"]
    url = re.fullmatch(r"\$\{CALLBACK_URL:-http://host\.docker\.internal:(\d+)\}", told)
    [port] = services["api-containers"]["ports"]
    listen = re.fullmatch(r"\$\{CALLBACK_LISTEN:-172\.17\.0\.1:(\d+)\}:8000", port)
    assert url
    assert listen
    assert url[1] == listen[1]
