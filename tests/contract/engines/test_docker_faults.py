"""A Docker host that hangs, goes, loses replies, or is reached over TLS and ssh."""

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.adapters.engines.docker_engine import DockerEngine
from pipeline.adapters.engines.errors import EngineUnavailable
from tests.contract.engines.bench import Bench, said
from tests.support.certificates import Certificates, make_certificates
from tests.support.docker_proxy import DockerProxy, docker_proxy
from tests.support.engines import docker_client, docker_socket
from tests.support.sshd import sshd
from tests.support.waiting import eventually

pytestmark = pytest.mark.docker

WAIT = "print('here', flush=True)\ntime.sleep(600)"
MARK = "open('marks', 'a').write('x')\n"


@pytest.fixture
def proxy() -> Iterator[DockerProxy]:
    """A proxy in front of the Docker engine."""
    with docker_proxy(docker_socket()) as opened:
        yield opened


@pytest.fixture
def frail(proxy: DockerProxy, docker_bench: Bench, deployment: str) -> Iterator[Bench]:
    """A bench behind the proxy, with a short timeout."""
    engine = DockerEngine(proxy.url, deployment=deployment, timeout_s=2)
    yield Bench(engine, docker_bench.told)
    engine.close()


def test_host_that_hangs_is_unavailable_in_time(frail: Bench, proxy: DockerProxy) -> None:
    name = frail.started(WAIT)
    proxy.hang()
    calls = (
        frail.engine.ping,
        frail.engine.listed,
        frail.engine.remove_leftovers,
        lambda: frail.engine.find(name),
        lambda: frail.engine.create(frail.spec(WAIT)),
        lambda: frail.engine.start(name),
        lambda: frail.engine.stop(name, grace_s=1),
        lambda: frail.engine.kill(name),
        lambda: frail.engine.remove(name),
        lambda: list(frail.engine.logs(name)),
        lambda: frail.outputs(name),
    )

    with ThreadPoolExecutor(len(calls)) as threads:
        began = time.monotonic()
        told = [threads.submit(call) for call in calls]
        errors = [future.exception() for future in told]

    assert [type(error) for error in errors] == [EngineUnavailable] * len(calls)
    assert time.monotonic() - began < 10
    proxy.answer()
    assert frail.engine.find(name) is not None


@pytest.mark.parametrize(
    "url", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "ssh://127.0.0.1:1"]
)
def test_host_that_is_not_there_is_unavailable(url: str) -> None:
    engine = DockerEngine(url, deployment="test")

    with pytest.raises(EngineUnavailable) as caught:
        engine.ping()
    engine.close()
    assert url in caught.value.message


def test_refusal_that_nobody_expects_is_typed(frail: Bench, proxy: DockerProxy) -> None:
    name = frail.started(WAIT)
    proxy.refuse("GET .*/json")

    with pytest.raises(EngineUnavailable, match="forbidden here"):
        frail.engine.find(name)


def test_engine_comes_back_with_its_host(frail: Bench, proxy: DockerProxy) -> None:
    name = frail.started(WAIT)
    proxy.break_off()
    proxy.hang()
    with pytest.raises(EngineUnavailable):
        frail.engine.listed()

    proxy.answer()

    assert [seen.name for seen in frail.engine.listed()] == [name]


LOST = {
    "create": ("POST .*/containers/create", True),
    "put": ("PUT .*/archive", True),
    "rename": ("POST .*/rename", True),
    "start": ("POST .*/start", True),
    "network": ("POST .*/networks/create", True),
}


@pytest.mark.parametrize("request_line", [told for told, _ in LOST.values()], ids=list(LOST))
def test_lost_reply_on_the_way_to_a_running_container_does_no_harm(
    frail: Bench, proxy: DockerProxy, request_line: str
) -> None:
    spec = frail.spec(MARK, network="lossy" if "networks" in request_line else "quayline")
    proxy.lose_reply(request_line)

    def launch() -> None:
        frail.engine.create(spec)
        frail.engine.start(spec.name)

    with pytest.raises(EngineUnavailable):
        launch()
    assert len(proxy.lost) == 1

    launch()

    assert frail.ended(spec.name).exit_code == 0
    assert frail.outputs(spec.name) == {"marks": b"x"}
    assert [seen.name for seen in frail.engine.listed()] == [spec.name]
    assert _containers(spec.name) == 1


@pytest.mark.parametrize(
    ("request_line", "end"),
    [
        ("POST .*/stop", lambda engine, name: engine.stop(name, grace_s=5)),
        ("POST .*/kill", lambda engine, name: engine.kill(name)),
        ("DELETE .*/containers/", lambda engine, name: engine.remove(name)),
        ("DELETE .*/volumes/", lambda engine, name: engine.remove(name)),
    ],
    ids=["stop", "kill", "remove", "volumes"],
)
def test_lost_reply_to_an_end_does_no_harm(
    frail: Bench, proxy: DockerProxy, request_line: str, end: object
) -> None:
    assert callable(end)
    name = frail.started(WAIT)
    frail.says(name, b"here")
    proxy.lose_reply(request_line)
    with pytest.raises(EngineUnavailable):
        end(frail.engine, name)

    end(frail.engine, name)
    frail.engine.remove(name)

    assert frail.engine.find(name) is None
    assert frail.engine.remove_leftovers() == 0


def test_half_made_container_is_not_found_and_is_made_anew(
    frail: Bench, proxy: DockerProxy
) -> None:
    spec = frail.spec("print('whole')")
    proxy.lose_reply("POST .*/containers/create")
    with pytest.raises(EngineUnavailable):
        frail.engine.create(spec)

    assert frail.engine.find(spec.name) is None
    assert frail.engine.listed() == []
    frail.engine.create(spec)
    frail.engine.start(spec.name)
    frail.ended(spec.name)
    assert said(frail.engine.logs(spec.name)) == b"whole\n"


def test_half_made_container_is_removed_by_its_name(frail: Bench, proxy: DockerProxy) -> None:
    spec = frail.spec(WAIT)
    proxy.lose_reply("POST .*/containers/create")
    with pytest.raises(EngineUnavailable):
        frail.engine.create(spec)

    frail.engine.remove(spec.name)

    assert _containers(spec.name) == 0


def test_callers_at_the_same_time_have_one_container(docker_bench: Bench) -> None:
    spec = docker_bench.spec(MARK, network="quayline")

    def launch(_: int) -> str:
        try:
            docker_bench.engine.create(spec)
            return docker_bench.engine.start(spec.name).id
        except EngineUnavailable:
            return ""

    with ThreadPoolExecutor(6) as threads:
        ids = set(threads.map(launch, range(6)))
    docker_bench.engine.create(spec)
    docker_bench.engine.start(spec.name)

    assert len(ids - {""}) <= 1
    assert docker_bench.ended(spec.name).exit_code == 0
    assert docker_bench.outputs(spec.name) == {"marks": b"x"}
    assert _containers(spec.name) == 1


def test_caller_that_clears_away_too_late_does_not_hit_what_has_run(
    frail: Bench, proxy: DockerProxy
) -> None:
    """It saw the container being made; until it removed it that was named, started, and ended."""
    engine, spec = frail.engine, frail.spec(MARK)
    with ThreadPoolExecutor(2) as threads:
        with proxy.holding("DELETE .*/containers/") as late:
            with proxy.holding("POST .*/rename") as rename:
                first = threads.submit(engine.create, spec)
                assert rename.is_here.wait(10)
                second = threads.submit(engine.create, spec)
                assert late.is_here.wait(10)
            made = first.result()
            engine.start(spec.name)
            frail.ended(spec.name)
        assert second.result().id == made.id

    assert frail.outputs(spec.name) == {"marks": b"x"}
    assert _containers(spec.name) == 1


def test_caller_that_makes_too_late_does_not_write_to_what_runs(
    frail: Bench, proxy: DockerProxy
) -> None:
    """It saw no container; until it made one another had."""
    engine, spec = frail.engine, frail.spec(MARK)
    with ThreadPoolExecutor(1) as threads:
        with proxy.holding("POST .*/containers/create") as late:
            second = threads.submit(engine.create, spec)
            assert late.is_here.wait(10)
            made = engine.create(spec)
            engine.start(spec.name)
        assert second.result().id == made.id

    assert frail.ended(spec.name).exit_code == 0
    assert frail.outputs(spec.name) == {"marks": b"x"}
    assert _containers(spec.name) == 1
    assert len([line for line in proxy.requests if line.startswith("PUT ")]) == 1


def _containers(name: str) -> int:
    with docker_client() as client:
        return len(client.containers(all=True, filters={"name": name}))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of a host on 127.0.0.1 and of its client, and a stranger's."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secured(certificates: Certificates) -> Iterator[DockerProxy]:
    """A Docker host that asks for its clients' certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server / "cert.pem", certificates.server / "key.pem")
    context.load_verify_locations(certificates.client / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with docker_proxy(docker_socket(), tls=context) as opened:
        yield opened


def test_host_over_tls_is_as_a_local_one(
    secured: DockerProxy, certificates: Certificates, docker_bench: Bench, deployment: str
) -> None:
    engine = DockerEngine(secured.url, deployment=deployment, certs=certificates.client)
    bench = Bench(engine, docker_bench.told)
    try:
        name = bench.started("print('far', flush=True)\nopen('left', 'w').write('x')")
        assert said(engine.logs(name, follow=True)) == b"far\n"
        bench.ended(name)
        assert bench.outputs(name) == {"left": b"x"}
        assert engine.gateway() is None
    finally:
        engine.close()


@pytest.mark.parametrize("who", ["stranger", "nobody", "none"])
def test_host_over_tls_with_wrong_certificates_is_unavailable(
    secured: DockerProxy, certificates: Certificates, tmp_path: Path, who: str
) -> None:
    certs = {"stranger": certificates.stranger, "nobody": tmp_path, "none": None}[who]
    engine = DockerEngine(secured.url, deployment="test", certs=certs)

    with pytest.raises(EngineUnavailable):
        engine.ping()
    engine.close()


def test_host_over_ssh_is_as_a_local_one(
    docker_bench: Bench, deployment: str, tmp_path: Path
) -> None:
    with sshd(tmp_path) as host:
        engine = DockerEngine(
            f"ssh://{host.address}{docker_socket()}", deployment=deployment, certs=host.folder
        )
        bench = Bench(engine, docker_bench.told)
        name = bench.started("print('far', flush=True)\nopen('left', 'w').write('x')")
        assert said(engine.logs(name, follow=True)) == b"far\n"
        bench.ended(name)
        assert bench.outputs(name) == {"left": b"x"}
        host.hang_up()
        eventually(lambda: _answers(engine), within_s=20)
        assert bench.outputs(name) == {"left": b"x"}
        engine.close()


def _answers(engine: DockerEngine) -> bool:
    try:
        return bool(engine.ping())
    except EngineUnavailable:
        return False


def test_ssh_host_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with sshd(tmp_path) as host:
        folder, address = host.folder, host.address
    engine = DockerEngine(f"ssh://{address}", deployment="test", certs=folder)

    with pytest.raises(EngineUnavailable, match="ssh"):
        engine.ping()
    engine.close()
