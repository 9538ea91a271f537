"""What Docker alone does: limits, safe defaults, ends by memory, names of others."""

import io
import json
import socket
import tarfile
from contextlib import closing
from typing import Any

import pytest

from pipeline.adapters.engines.docker_engine import DockerEngine
from pipeline.adapters.engines.errors import CannotCreate, CannotStart, ForeignContainer
from pipeline.adapters.engines.model import Spec
from pipeline.errors import Refused
from tests.contract.engines.bench import Bench, said
from tests.support.engines import base_image, docker_client, new_spec

pytestmark = pytest.mark.docker

MIB = 1024 * 1024
NETWORK = "quayline"
WAIT = "print('here', flush=True)\ntime.sleep(600)"


def _inspected(name: str) -> dict[str, Any]:
    with docker_client() as client:
        return dict(client.inspect_container(name))


def _shell(line: str, **changes: Any) -> Spec:
    return new_spec(command=["sh", "-c", line], **changes)


def _started(bench: Bench, spec: Spec) -> str:
    bench.engine.create(spec)
    bench.engine.start(spec.name)
    return spec.name


def _heard(bench: Bench, spec: Spec) -> bytes:
    """Return what the container said, once it has ended."""
    bench.ended(_started(bench, spec))
    return said(bench.engine.logs(spec.name))


def test_every_container_has_the_safe_defaults(docker_bench: Bench, deployment: str) -> None:
    spec = docker_bench.spec(
        WAIT, network=NETWORK, memory_bytes=50 * MIB, cpus=0.5, pids=33, log_bytes=4 * MIB
    )
    docker_bench.engine.create(spec)

    told = _inspected(spec.name)
    host = told["HostConfig"]

    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["ReadonlyRootfs"] is True
    assert host["Init"] is True
    assert host["AutoRemove"] is False
    assert host["RestartPolicy"]["Name"] == "no"
    assert not host["Binds"]
    assert not host["VolumesFrom"]
    assert not host["Devices"]
    assert not host["DeviceRequests"]
    assert not host["PortBindings"]
    assert host["PublishAllPorts"] is False
    assert (host["PidMode"], host["UTSMode"], host["UsernsMode"]) == ("", "", "")
    assert host["IpcMode"] == "private"
    assert host["NetworkMode"] == f"{NETWORK}-{deployment}"
    assert host["ExtraHosts"] == ["host.docker.internal:host-gateway"]
    assert (host["Memory"], host["MemorySwap"]) == (50 * MIB, 50 * MIB)
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 33)
    assert host["LogConfig"]["Config"]["max-size"] == str(MIB)
    assert host["LogConfig"]["Config"]["max-file"] == "4"
    assert set(host["Tmpfs"]) == {"/tmp"}
    assert {mount["Type"] for mount in host["Mounts"]} == {"volume"}
    assert told["Config"]["User"] == "65532:65532"
    assert told["Config"]["StopSignal"] == "SIGTERM"
    assert told["Config"]["Hostname"] == spec.name
    assert told["Config"]["Healthcheck"] == {"Test": ["NONE"]}


def test_volumes_are_labelled(docker_bench: Bench, deployment: str) -> None:
    spec = docker_bench.spec(WAIT)
    docker_bench.engine.create(spec)

    mounts = {mount["Destination"]: mount["Name"] for mount in _inspected(spec.name)["Mounts"]}

    assert set(mounts) == {"/app", "/app/output"}
    with docker_client() as client:
        labels = [client.inspect_volume(name)["Labels"] for name in mounts.values()]
    assert labels == 2 * [{"quayline.deployment": deployment, "quayline.container": spec.name}]


def test_program_is_nobody_and_may_write_its_output_and_tmp_alone(docker_bench: Bench) -> None:
    code = (
        "def may_write(place):\n"
        "    try: open(place, 'a').close()\n"
        "    except OSError: return False\n"
        "    return True\n"
        "places = ['/x', '/etc/x', '/usr/x', '/app/x', '/app/config.json', '/sys/x',\n"
        "    '/app/output/x', '/tmp/x']\n"
        "print(json.dumps([os.getuid(), os.getgid(), *filter(may_write, places)]))\n"
        "print(open('/proc/self/status').read())"
    )

    heard = said(docker_bench.engine.logs(docker_bench.ran(code).name)).decode()

    told, _, status = heard.partition("\n")
    assert json.loads(told) == [65532, 65532, "/app/output/x", "/tmp/x"]
    for line in ("CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status


def test_without_config_the_output_may_be_written(docker_bench: Bench) -> None:
    spec = _shell("touch /app/output/x && ls /app; ls -ldn /app/output")

    heard = _heard(docker_bench, spec).decode()

    assert heard.startswith("output\ndrwxr-xr-x")
    assert "65532 65532" in heard
    assert docker_bench.outputs(spec.name) == {"x": b""}


def test_program_of_the_image_stays_beside_its_config(docker_bench: Bench) -> None:
    with docker_client() as client:
        made = client.create_container(base_image(), ["sh", "-c", "echo program > /app/main"])
        spec = new_spec(image="quayline-test-with-app:latest", command=["cat", "/app/main"])
        try:
            client.put_archive(made["Id"], "/", _archive_with_app())
            client.commit(made["Id"], *spec.image.split(":"))
        finally:
            client.remove_container(made["Id"])
        try:
            with_config = new_spec(image=spec.image, command=spec.command, config=b"{}")
            assert _heard(docker_bench, with_config) == b"program\n"
            assert _heard(docker_bench, spec) == b"program\n"
            for each in (with_config, spec):
                docker_bench.engine.remove(each.name)
        finally:
            client.remove_image(spec.image, force=True)


def _archive_with_app() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        told = tarfile.TarInfo("app/main")
        told.size = 8
        archive.addfile(told, io.BytesIO(b"program\n"))
    return out.getvalue()


def test_out_of_memory_is_flagged(docker_bench: Bench) -> None:
    ended = docker_bench.ran("x = bytearray(200 << 20)")

    assert (ended.exit_code, ended.oom_killed) == (137, True)


def test_child_out_of_memory_is_flagged_whatever_the_exit_code(docker_bench: Bench) -> None:
    ended = docker_bench.ran(
        "subprocess.run([sys.executable, '-c', 'x = bytearray(200 << 20)']); time.sleep(0.3)"
    )

    assert (ended.exit_code, ended.oom_killed) == (0, True)


def test_processes_are_limited(docker_bench: Bench) -> None:
    ended = docker_bench.ran(
        "for _ in range(50): subprocess.Popen(['sleep', '600'])", pids=10, memory_bytes=128 * MIB
    )

    assert ended.exit_code == 1
    assert b"BlockingIOError" in said(docker_bench.engine.logs(ended.name))


@pytest.mark.parametrize("command", ["/no/such/program", "/etc/hostname"])
def test_command_that_is_none_ends_with_127_or_126_and_says_so(
    docker_bench: Bench, command: str
) -> None:
    name = _started(docker_bench, new_spec(command=[command]))

    ended = docker_bench.ended(name)

    assert ended.exit_code in (126, 127)
    assert command.encode() in said(docker_bench.engine.logs(name))


def test_container_that_docker_cannot_start_is_said(docker_bench: Bench) -> None:
    spec = new_spec(command=["true"], tmpfs_bytes=-1)
    docker_bench.engine.create(spec)

    for _ in range(2):
        with pytest.raises(CannotStart, match="tmp"):
            docker_bench.engine.start(spec.name)

    seen = docker_bench.engine.find(spec.name)
    assert seen is not None
    assert (seen.state, bool(seen.error)) == ("created", True)


def test_limits_that_docker_refuses_are_said(docker_bench: Bench) -> None:
    spec = new_spec(command=["true"], memory_bytes=1024)

    with pytest.raises(CannotCreate, match="memory"):
        docker_bench.engine.create(spec)
    assert docker_bench.engine.find(spec.name) is None
    assert docker_bench.engine.remove_leftovers() == 0


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "x" * 200, "../x"])
def test_name_that_cannot_be_is_refused(docker_bench: Bench, name: str) -> None:
    with pytest.raises(Refused):
        docker_bench.engine.find(name)


def test_containers_of_others_are_not_there_and_not_touched(
    docker_bench: Bench, deployment: str
) -> None:
    other = DockerEngine("", deployment=f"{deployment}-other")
    spec = docker_bench.spec(WAIT)
    name = _started(docker_bench, spec)
    try:
        assert other.find(name) is None
        assert other.listed() == []
        other.stop(name, grace_s=0)
        other.kill(name)
        other.remove(name)
        assert other.remove_leftovers() == 0
        with pytest.raises(ForeignContainer):
            other.create(spec)
        assert other.listed() == []
        assert other.remove_leftovers() == 0
    finally:
        other.close()
    seen = docker_bench.engine.find(name)
    assert seen is not None
    assert seen.state == "running"


def test_container_removed_by_hand_is_gone_and_its_volumes_are_leftovers(
    docker_bench: Bench,
) -> None:
    name = docker_bench.started(WAIT)
    with docker_client() as client:
        client.remove_container(name, force=True)

    assert docker_bench.engine.find(name) is None
    assert docker_bench.engine.remove_leftovers() == 2
    assert docker_bench.engine.remove_leftovers() == 0


def test_volume_that_waits_for_another_run_is_no_leftover(docker_bench: Bench) -> None:
    name = docker_bench.started(WAIT)
    docker_bench.engine.remove(name, keep_output=True)

    assert docker_bench.engine.remove_leftovers(keep=[name]) == 0
    assert docker_bench.engine.remove_leftovers() == 1


def test_leftovers_are_not_of_containers_that_are_there(docker_bench: Bench) -> None:
    name = docker_bench.started(WAIT)
    docker_bench.engine.create(docker_bench.spec(WAIT))

    assert docker_bench.engine.remove_leftovers() == 0
    assert docker_bench.engine.find(name) is not None


def test_paused_container_can_be_stopped(docker_bench: Bench) -> None:
    name = docker_bench.started("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n" + WAIT)
    docker_bench.says(name, b"here")
    with docker_client() as client:
        client.pause(name)
    paused = docker_bench.engine.find(name)

    docker_bench.engine.stop(name, grace_s=20)

    assert paused is not None
    assert (paused.state, paused.exit_code) == ("paused", None)
    assert docker_bench.ended(name).exit_code == 7


def test_followed_log_goes_on_over_silence(deployment: str, docker_bench: Bench) -> None:
    impatient = DockerEngine("", deployment=deployment, timeout_s=1)
    name = docker_bench.started("print(1, flush=True)\ntime.sleep(3)\nprint(2)")
    try:
        assert said(impatient.logs(name, follow=True)) == b"1\n2\n"
    finally:
        impatient.close()


def test_followed_log_ends_when_the_container_is_removed(docker_bench: Bench) -> None:
    name = docker_bench.started(WAIT)
    followed = docker_bench.engine.logs(name, follow=True)
    assert next(followed).data == b"here\n"

    docker_bench.engine.remove(name)

    assert list(followed) == []


def test_container_starts_after_its_network_was_pruned(docker_bench: Bench) -> None:
    spec = docker_bench.spec("print('here')", network=NETWORK)
    docker_bench.engine.create(spec)
    with docker_client() as client:
        for network in client.networks(filters={"label": ["quayline.deployment"]}):
            if network["Name"] == _inspected(spec.name)["HostConfig"]["NetworkMode"]:
                client.remove_network(network["Id"])

    docker_bench.engine.start(spec.name)

    assert docker_bench.ended(spec.name).exit_code == 0


SERVE = """\
import socket
server = socket.create_server(("", 8000))
print("here", flush=True)
while True: server.accept()[0].close()
"""
CALL = """\
import socket
try:
    socket.create_connection(({host!r}, {port}), 3).close(); print('reached')
except OSError as error:
    print('not reached', error)
"""


def test_containers_do_not_reach_one_another(docker_bench: Bench) -> None:
    server = docker_bench.started(SERVE, network=NETWORK)
    docker_bench.says(server, b"here")
    [address] = [
        network["IPAddress"]
        for network in _inspected(server)["NetworkSettings"]["Networks"].values()
    ]

    caller = docker_bench.ran(CALL.format(host=address, port=8000), network=NETWORK)

    assert b"not reached" in said(docker_bench.engine.logs(caller.name))
    # Its machine does reach it.
    socket.create_connection((address, 8000), 5).close()


def test_container_without_network_reaches_nothing(docker_bench: Bench) -> None:
    code = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
    ended = docker_bench.ran(code)

    heard = said(docker_bench.engine.logs(ended.name)).decode()

    assert "eth0" not in heard
    assert "lo" in heard
    assert _inspected(ended.name)["HostConfig"]["NetworkMode"] == "none"


def test_container_reaches_its_machine_at_the_gateway(docker_bench: Bench) -> None:
    gateway = docker_bench.engine.gateway()
    assert gateway is not None
    with closing(socket.create_server((gateway, 0))) as server:
        port = server.getsockname()[1]
        call = CALL.format(host="host.docker.internal", port=port)
        ended = docker_bench.ran(call, network=NETWORK)

    assert said(docker_bench.engine.logs(ended.name)) == b"reached\n"


def test_image_that_no_container_can_be_made_of_is_said(docker_bench: Bench) -> None:
    image = "quayline-test-bad-folder:latest"
    with docker_client() as client:
        made = client.create_container(base_image(), ["true"])
        try:
            client.commit(made["Id"], *image.split(":"), conf={"WorkingDir": "/etc/hostname/x"})
            with pytest.raises(CannotCreate, match="not a directory"):
                docker_bench.engine.create(new_spec(image=image, command=["true"]))
            assert docker_bench.engine.remove_leftovers() == 0
        finally:
            client.remove_container(made["Id"])
            client.remove_image(image, force=True)
