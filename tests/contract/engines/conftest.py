"""Engines of a deployment of their own; nothing of it is left on the Docker host."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import clock
from pipeline.adapters.engines.docker_engine import DockerEngine
from pipeline.adapters.engines.process_engine import ProcessEngine
from tests.contract.engines.bench import PROGRAM, Bench
from tests.support.engines import remove_all

LOCAL_IMAGE = "local"


@pytest.fixture(scope="session")
def deployment() -> Iterator[str]:
    """The deployment of this session's containers."""
    told = f"test-{clock.new_id().hex[-12:]}"
    yield told
    remove_all(told)


@pytest.fixture
def docker_bench(deployment: str) -> Iterator[Bench]:
    """A bench on the Docker engine."""
    engine = DockerEngine("", deployment=deployment)
    yield Bench(engine, {"command": ["python3", "-c", PROGRAM]})
    for seen in engine.listed():
        engine.remove(seen.name)
    engine.close()


@pytest.fixture
def process_bench(deployment: str, tmp_path: Path) -> Iterator[Bench]:
    """A bench on the processes of this machine."""
    engine = ProcessEngine(
        tmp_path / "processes",
        deployment=deployment,
        image=LOCAL_IMAGE,
        command=(sys.executable, "-c", PROGRAM),
    )
    yield Bench(engine, {"image": LOCAL_IMAGE, "memory_bytes": 2**30})
    for seen in engine.listed():
        engine.remove(seen.name)


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A bench on each engine in turn."""
    found = request.getfixturevalue(f"{request.param}_bench")
    assert isinstance(found, Bench)
    return found
