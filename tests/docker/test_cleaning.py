"""What is left on a host without a row is removed; what belongs to others is left alone."""

import uuid
from collections.abc import Iterator

import pytest

from pipeline import Client
from pipeline.adapters.engines import open_engine
from pipeline.adapters.engines.model import Engine
from pipeline.core import executions, hosts
from pipeline.kinds.container import cleaning, monitor
from pipeline.settings import Settings
from pipeline.store.database import execute, session
from tests.docker.conftest import containers
from tests.support.engines import base_image, docker_client, new_spec

pytestmark = pytest.mark.docker


@pytest.fixture
def engine(client: Client, settings: Settings) -> Iterator[Engine]:
    """The deployment's engine, past the machine."""
    opened = open_engine("", deployment=executions.deployment().id, folder=settings.state_dir)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strays are removed without waiting for a row that may be on its way."""
    monkeypatch.setattr(monitor, "STRAY_S", 0.0)


def stray(engine: Engine) -> str:
    """Return the name of a container that runs and that no row knows."""
    labels = {"quayline.task": str(uuid.uuid4()), "quayline.run": "1"}
    spec = new_spec(base_image(), labels=labels, command=["sleep", "60"], config=b"{}")
    engine.create(spec)
    engine.start(spec.name)
    return spec.name


def test_container_without_a_row_is_removed_with_its_volumes(
    client: Client, engine: Engine
) -> None:
    stray(engine)
    assert cleaning.clean_containers(client.context).containers == 1
    assert containers(client) == []
    assert cleaning.clean_configs(client.context).volumes == 0


def test_container_whose_row_is_on_its_way_is_left(
    client: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stray(engine)
    monkeypatch.setattr(monitor, "STRAY_S", 60.0)
    assert cleaning.clean_containers(client.context).containers == 0
    assert engine.find(name) is not None
    engine.remove(name)


def test_container_of_another_deployment_is_left(client: Client, settings: Settings) -> None:
    other = open_engine("", deployment="somebody-else", folder=settings.state_dir)
    name = stray(other)
    try:
        cleaning.clean_containers(client.context)
        cleaning.clean_configs(client.context)
        assert other.find(name) is not None
    finally:
        other.remove(name)
        other.close()


def test_volumes_without_a_container_are_removed(client: Client, engine: Engine) -> None:
    name = stray(engine)
    with docker_client() as docker:
        docker.remove_container(name, force=True)
    assert cleaning.clean_configs(client.context).volumes == 2
    assert cleaning.clean_configs(client.context).volumes == 0


def test_hosts_are_checked(client: Client) -> None:
    hosts.add("nowhere", "unix:///nonexistent/docker.sock", slots=1, labels={})
    try:
        assert cleaning.check_hosts(client.context) == {"local": True, "nowhere": False}
        by_name = {host.name: host for host in hosts.known(client.settings)}
        assert by_name["local"].facts["kind"] == "docker"
        assert by_name["nowhere"].away_since is not None
        assert "does not answer" in str(by_name["nowhere"].error)
    finally:
        hosts.remove("nowhere")
        with session():
            assert not execute("SELECT 1 FROM hosts WHERE name = 'nowhere'")
