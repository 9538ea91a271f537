"""Container jobs on workers, RabbitMQ, PostgreSQL and the real Docker engine."""

import io
import tarfile
from typing import Any

import pytest

from pipeline import Client, Job
from pipeline.core import executions
from pipeline.errors import Refused
from tests.docker.conftest import containers, custom, execution, is_up, logs_of, python, summary
from tests.support.engines import docker_client
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("workers", "api"),
]

Ends = tuple[str, str | None, int | None]

WAIT_FOR_TERM = (
    "import signal,time; signal.signal(signal.SIGTERM, lambda *_: exit(0));"
    "print('up', flush=True); time.sleep(60)"
)
DEAF = WAIT_FOR_TERM.replace("lambda *_: exit(0)", "signal.SIG_IGN")
EAT = "x = []\nwhile True: x.append(bytearray(8 << 20))"
#: A child eats all memory; the program itself ends well.
EAT_IN_CHILD = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {EAT!r}])"


ENDS: dict[str, tuple[dict[str, Any], Ends]] = {
    "0": ({"code": "print('done')"}, ("succeeded", None, 0)),
    "1": ({"code": "exit(1)"}, ("failed", "exit_code", 1)),
    "3": ({"code": "exit(3)"}, ("failed", "exit_code", 3)),
    "125": ({"code": "exit(125)"}, ("failed", "exit_code", 125)),
    "127": ({"code": "exit(127)"}, ("failed", "exit_code", 127)),
    "segv": (
        {"code": "import os; os.kill(os.getpid(), 11)", "max_attempts": 1},
        ("failed", "crashed", 139),
    ),
    "oom": ({"code": EAT, "memory_bytes": 64 << 20}, ("failed", "out_of_memory", 137)),
    "oom of a child": ({"code": EAT_IN_CHILD, "memory_bytes": 64 << 20}, ("succeeded", None, 0)),
    "too long": (
        {"code": WAIT_FOR_TERM, "timeout_s": 2},
        ("timed_out", "time_limit", 0),
    ),
    "deaf to TERM": (
        {"code": DEAF, "timeout_s": 2, "stop_grace_s": 1},
        ("timed_out", "time_limit", 137),
    ),
    "silent": (
        {
            "code": "import time; time.sleep(60)",
            **{"heartbeat_timeout_s": 2, "max_attempts": 1, "stop_grace_s": 1},
        },
        ("failed", "heartbeat_lost", 143),
    ),
}


def test_every_end_has_its_state_and_reason(client: Client) -> None:
    jobs = {name: client.run(python(**told)) for name, (told, _) in ENDS.items()}
    found = {}
    for name, job in jobs.items():
        job.wait(120)
        told = summary(job)
        found[name] = (told["state"], told["reason"], told["exit_code"])
        print(name, told["message"])
    assert found == {name: ends for name, (_, ends) in ENDS.items()}
    assert summary(jobs["oom of a child"])["oom_killed"] is True
    eventually(lambda: not containers(client), within_s=30, what="every container is removed")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (custom("no-such-command"), "exit_code"),
        (custom("/etc/hostname"), "exit_code"),
        ({**custom("true"), "docker_image": "quayline-test-not-there:1"}, "image_missing"),
    ],
    ids=["no such command", "not to be run", "no such image"],
)
def test_container_that_cannot_be_had_is_one_sentence(
    client: Client, document: dict[str, Any], reason: str
) -> None:
    job = client.run(document).wait(60)
    told = summary(job)
    assert (told["state"], told["reason"]) == ("failed", reason), told["message"]
    assert told["message"].endswith(".")
    eventually(lambda: not containers(client), within_s=20, what="nothing is left")


@pytest.mark.parametrize(
    ("signal", "reason", "code"), [("TERM", "killed", 143), ("KILL", "killed", 137)]
)
def test_killed_from_outside(client: Client, signal: str, reason: str, code: int) -> None:
    job = client.run(python("print('up', flush=True); import time; time.sleep(60)", max_attempts=1))
    eventually(is_up(job), within_s=30, what="it runs")
    with docker_client() as docker:
        docker.kill(execution(job).container, signal)
    told = summary(job.wait(60))
    assert (told["state"], told["reason"], told["exit_code"]) == ("failed", reason, code)


def test_removed_from_outside_runs_again_and_keeps_its_progress(client: Client) -> None:
    job = client.run(python("print('up', flush=True); import time; time.sleep(3)"))
    eventually(is_up(job), within_s=30, what="it runs")
    first = execution(job)
    executions.beat([executions.Beat(first.task_id, first.run, "box", "running", {"n": 5})])
    with docker_client() as docker:
        docker.remove_container(first.container, force=True)
    job.wait(90)
    assert job.status == "succeeded"
    assert (execution(job).run, execution(job).progress) == (2, {"n": 5})
    assert execution(job).heartbeat_at is not None


def test_cancel_stops_a_running_container(client: Client) -> None:
    job = client.run(python(WAIT_FOR_TERM))
    eventually(is_up(job), within_s=30, what="it runs")
    assert job.cancel()
    job.wait(30)
    assert (job.status, summary(job)["state"]) == ("cancelled", "cancelled")
    eventually(lambda: not containers(client), within_s=20, what="it is removed")


def test_kill_ends_a_container_that_is_deaf(client: Client) -> None:
    job = client.run(python(DEAF, stop_grace_s=60))
    eventually(is_up(job), within_s=30, what="it runs")
    job.kill()
    assert summary(job.wait(30))["exit_code"] == 137


def test_log_is_whole_and_its_streams_apart(client: Client) -> None:
    code = (
        "import sys\n"
        "for n in range(3000): print(n); print(-n, file=sys.stderr)\n"
        "sys.stdout.flush(); sys.stdout.buffer.write(bytes(range(256)) * 300)\n"
        "sys.stdout.write('no end')"
    )
    job = client.run(python(code)).wait(60)
    lines = "".join(f"{n}\n" for n in range(3000)).encode()
    assert logs_of(job) == lines + bytes(range(256)) * 300 + b"no end"
    assert logs_of(job, "stderr") == "".join(f"{-n}\n" for n in range(3000)).encode()


def test_log_is_followed_and_resumed_across_its_end(client: Client) -> None:
    code = "import time\nfor n in range(30): print(n, flush=True); time.sleep(0.1)"
    job = client.run(python(code))
    first = []
    for entry in job.logs(follow=True):
        first.append(entry)
        if len(first) == 10:
            break
    job.wait(60)
    rest = list(job.logs(since=first[-1].timestamp))
    told = b"".join(entry.data for entry in first + rest)
    assert told == "".join(f"{n}\n" for n in range(30)).encode()


def test_output_is_kept_and_config_is_read(client: Client) -> None:
    code = (
        "import os,shutil; os.makedirs('/app/output/a/b');"
        "shutil.copy('/app/config.json', '/app/output/a/b/config.json');"
        "os.symlink('/etc/passwd', '/app/output/link')"
    )
    job = client.run(python(code, config={"深": 1})).wait(60)
    out = io.BytesIO()
    job.write_output(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        assert archive.getnames() == ["a/b/config.json"]
        content = archive.extractfile("a/b/config.json")
        assert content is not None
        assert content.read().decode() == '{"深":1}'
    assert summary(job)["output_files"] == 1


def test_environment_is_that_of_the_guide(client: Client) -> None:
    job = client.run(python("import os; print(dict(os.environ))", env={"MINE": "x"})).wait(60)
    told, found = logs_of(job).decode(), execution(job)
    for text in (
        f"'TASK_EXECUTION_ID': '{found.task_id}'",
        "'CONFIG_PATH': '/app/config.json'",
        f"'HOSTNAME': 'task-{found.task_id}'",
        "'MINE': 'x'",
    ):
        assert text in told


def test_result_file_speaks_where_no_api_was_told(client: Client) -> None:
    code = (
        "import json; json.dump({'success': True, 'result_data': {'rows': 7}},"
        " open('/app/output/result.json', 'w'))"
    )
    told = summary(client.run(python(code)).wait(60))
    assert (told["success"], told["result"]) == (True, {"rows": 7})


def test_output_beyond_the_limit_fails_its_job_and_keeps_what_fits(client: Client) -> None:
    code = (
        "open('/app/output/a', 'wb').write(b'a')\n"
        "with open('/app/output/b', 'wb') as file: file.truncate(64 << 20)"
    )
    job = client.run(python(code)).wait(60)
    told = summary(job)
    assert (told["state"], told["reason"], told["output_files"]) == ("failed", "too_large", 1)


def test_more_jobs_than_slots_wait_their_turn(client: Client) -> None:
    jobs = [client.run(python("import time; time.sleep(1)")) for _ in range(24)]
    most = 0
    while any(job.status in ("pending", "running") for job in jobs):
        most = max(most, len(containers(client, status="running")))
    assert [job.status for job in jobs] == ["succeeded"] * 24
    assert most <= 16


def test_job_without_a_fitting_host_is_not_started(client: Client) -> None:
    document = python("", host_labels={"disk": "none"}, schedule_to_start_s=2)
    told = summary(client.run(document).wait(60))
    assert (told["state"], told["reason"]) == ("timed_out", "not_started")


@pytest.mark.parametrize("more", [{"privileged": True}, {"docker_image": "busybox"}])
def test_refused_job_is_not_stored(client: Client, more: dict[str, Any]) -> None:
    before = len(client.jobs(limit=1000))
    with pytest.raises(Refused):
        client.run({**custom("true"), **more})
    assert len(client.jobs(limit=1000)) == before


def test_containers_of_another_deployment_are_not_touched(client: Client) -> None:
    job = client.run(python("print('up', flush=True); import time; time.sleep(60)"))
    eventually(is_up(job), within_s=30, what="it runs")
    name = f"quayline-other-{execution(job).task_id}"
    with docker_client() as docker:
        labels = {"quayline.deployment": "somebody-else"}
        docker.create_container(execution_image(job), ["sleep", "60"], name=name, labels=labels)
        try:
            job.cancel()
            job.wait(30)
            eventually(lambda: not containers(client), within_s=20, what="ours is removed")
            assert docker.inspect_container(name)["State"]["Status"] == "created"
        finally:
            docker.remove_container(name, force=True)


def execution_image(job: Job) -> str:
    """Return the image of the job."""
    return str(job.info()["parameters"]["docker_image"])
