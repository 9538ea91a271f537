"""Services in one process: threads and child processes of an embedded client."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline import Client, Job, metrics
from pipeline.errors import Refused
from pipeline.kinds.service import offers, registry
from pipeline.settings import MIB, Settings
from pipeline.store.database import as_uuid, execute, session
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def settings_in(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path / "state",
        service_modules="tests.support.offers",
        backoff_s=0.05,
        backoff_max_s=0.1,
        sweep_s=0.2,
        threads=2,
        service_grace_s=0.5,
        service_memory_bytes=256 * MIB,
    )


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(settings_in(tmp_path)) as opened:
        yield opened


def ended(job: Job) -> Any:
    return job.wait(timeout_s=60).result()


def runs_of(job: Job) -> list[tuple[Any, ...]]:
    with session():
        return execute(
            "SELECT progress, partial, checkpoint, record FROM service_runs WHERE job_id = %s",
            as_uuid(job.id).hex,
        )


def test_call_returns_what_the_method_returns(client: Client) -> None:
    job = client.service(
        "test", "text", task="count", input={"text": "one two"}, user_id="u", step=4
    )
    told = ended(job)
    assert job.status == "succeeded"
    assert (told["status"], told["task"], told["result"]) == ("completed", "count", {"words": 2})
    assert (told["user_id"], told["step"]) == ("u", 4)
    assert told["context"]["runs"] == 1
    assert job.info()["result"]["tasks"][0]["result"] == {"words": 2}


def test_call_that_is_repeated_after_its_service_became_known_is_the_same(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", service_modules="tests.support.offers")
    told: Any = {"task": "nonsense", "idempotency_key": "k"}
    with Client(settings, work=False) as plain:
        first = plain.service("test", "heavy", **told)
        registry.load(settings.service_module_list)
        offers.announce()
        assert first.warning == "No worker has offered test/heavy yet; none is known."
        again = plain.service("test", "heavy", **told)
        assert (again.id, again.warning) == (first.id, "")
        assert first.info()["kind"] == "service"
        with pytest.raises(Refused, match="no task 'nonsense'"):
            plain.service("test", "heavy", task="nonsense")


def test_async_and_general_methods_are_called(client: Client) -> None:
    assert ended(client.service("test", "text", task="count_later", input={"text": "a b c"}))[
        "result"
    ] == {"words": 3}
    told = ended(
        client.service(
            *("test", "any"), task="echo", input={"a": 1}, context={"language": "zh"}, user_id="ann"
        )
    )
    assert told["result"] == {"input": {"a": 1}, "context": "zh", "user": "ann"}
    assert ended(client.service("test", "any", task="nonsense"))["result"] == {
        "general": "nonsense"
    }


@pytest.mark.parametrize(
    ("service", "task", "given", "error"),
    [
        ("any", "fail", {"why": "broken"}, "ValueError: broken"),
        ("any", "reject", {}, "This text is not taken."),
        ("any", "strange", {}, "The result is no JSON"),
        ("any", "escape", {}, "does not lie in the folder"),
        ("any", "large", {"bytes": 5 * MIB}, "QUAYLINE_SERVICE_OUTPUT_BYTES"),
        ("text", "misfit", {"text": ""}, "The result does not fit: result.words"),
        ("text", "count", {"text": 1}, "The input does not fit: input.text"),
        ("txt", "count", {}, "There is no service test/txt on this worker; known are test/text"),
    ],
)
def test_call_that_fails_is_not_tried_again_and_says_why(
    client: Client, service: str, task: str, given: dict[str, Any], error: str
) -> None:
    job = client.service("test", service, task=task, input=given)
    told = ended(job)
    assert job.status == "failed"
    assert told["status"] == "failed"
    assert error in told["error"]
    assert "Traceback" not in told["error"]
    assert "result" not in told
    assert told["context"].get("runs", 1) == 1


def test_listed_errors_are_tried_again_and_no_longer_than_allowed(
    client: Client, tmp_path: Path
) -> None:
    path = str(tmp_path / "calls")
    assert ended(client.service("test", "any", task="away", input={"path": path, "until": 3}))[
        "result"
    ] == {"calls": 3}
    other = str(tmp_path / "others")
    told = ended(client.service("test", "any", task="away", input={"path": other, "until": 9}))
    assert told["error"] == "ConnectionError: away"
    assert Path(other).read_text() == "..."
    assert ended(client.service("test", "any", task="later"))["result"] == {"attempt": 2}


def test_what_a_call_tells_is_kept_with_it(client: Client) -> None:
    job = client.service("test", "any", task="tell", user_id="ann")
    told = ended(job)
    assert told["context"]["models"] == {
        "small": {"calls": 2, "input_tokens": 11, "output_tokens": 3}
    }
    assert told["context"]["files"] == [{"name": "notes.txt", "mode": "w"}]
    assert not Path(told["result"]["folder"]).exists()
    [(progress, partial, _, record)] = runs_of(job)
    assert '"fraction":0.5' in progress
    assert partial == "Hello, world"
    assert '"user_id":"ann"' in record


def test_batch_of_a_thousand_inputs(client: Client) -> None:
    inputs = [{"text": "word " * (number % 7)} for number in range(1000)]
    job = client.service("test", "text", task="count", inputs=inputs)
    told = ended(job)
    assert job.status == "succeeded"
    assert [each["result"]["words"] for each in told["tasks"]] == [n % 7 for n in range(1000)]


def test_only_what_did_not_end_well_is_done_again(client: Client, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    inputs = [{"path": str(good), "until": 1}, {"path": str(bad), "until": 4}]
    job = client.service("test", "any", task="away", inputs=inputs)
    assert ended(job)["status"] == "failed"
    assert job.status == "partial"
    again = job.retry()
    told = ended(again)
    assert [each["result"] for each in told["tasks"]] == [{"calls": 1}, {"calls": 4}]
    assert good.read_text() == "."
    assert again.info()["reused"] == 1


def test_result_of_another_owner_is_not_taken_over(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "calls"
    told: dict[str, Any] = {"task": "away", "input": {"path": str(path), "until": 1}}
    job = client.service("test", "any", owner="ann", **told)
    ended(job)
    ended(client.service("test", "any", owner="bob", labels={"retry_of": job.id}, **told))
    assert path.read_text() == ".."


def step(name: str, task: str = "echo", service: str = "any", **told: Any) -> dict[str, Any]:
    return {"name": name, "mode": "test", "service": service, "task": task, **told}


def test_steps_run_in_order_and_pass_their_results_on(client: Client) -> None:
    job = client.workflow(
        [
            step("sum", "needs", needs=["left", "right"], input={"l": {"$from": "left"}}),
            step("left", "count", "text", input={"text": "a b"}),
            step(
                *("right", "count", "text"),
                needs=["first"],
                input={"text": {"$from": "first", "path": "input.text"}},
            ),
            step("first", input={"text": "a b c"}),
        ],
        user_id="ann",
    )
    told = {each["name"]: each for each in ended(job)["tasks"]}
    assert job.status == "succeeded"
    assert told["sum"]["result"] == {
        "given": {"l": {"words": 2}},
        "needs": {"left": {"words": 2}, "right": {"words": 3}},
    }
    assert [each["step"] for each in told.values()] == [1, 2, 3, 4]


def test_steps_that_need_a_failed_one_are_not_run_but_those_that_only_follow_it_are(
    client: Client,
) -> None:
    job = client.workflow(
        [
            step("bad", "fail"),
            step("strict", needs=["bad"]),
            step("stricter", needs=["strict"]),
            step("tolerant", "needs", needs=["bad"], trigger="all_done"),
            step("other"),
        ]
    )
    found = {each["name"]: each for each in ended(job)["tasks"]}
    assert job.status == "partial"
    assert [found[name]["reason"] for name in ("bad", "strict", "stricter")] == [
        *("error", "need_failed", "need_failed")
    ]
    assert found["tolerant"]["result"] == {"given": {}, "needs": {}}
    assert found["other"]["status"] == "completed"


def test_step_that_takes_from_one_without_a_result_says_so(client: Client) -> None:
    taken = {"a": {"$from": "bad"}}
    steps = [step("bad", "fail"), step("x", needs=["bad"], trigger="all_done", input=taken)]
    job = client.workflow(steps)
    assert ended(job)["tasks"][1]["error"] == "The step 'bad' has no result to take from."


def test_one_heavy_step_makes_a_heavy_job(client: Client) -> None:
    client.service("test", "any", task="echo")
    job = client.workflow([step("a"), step("b", "where", "heavy", needs=["a"])])
    assert job.info()["kind"] == "heavy_service"
    assert ended(job)["status"] == "completed"


def test_workflow_that_is_run_again_goes_on_where_it_failed(client: Client, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    job = client.workflow(
        [
            step("good", "away", input={"path": str(good), "until": 1}),
            step("bad", "away", needs=["good"], input={"path": str(bad), "until": 4}),
            step("last", "needs", needs=["bad", "good"]),
        ]
    )
    assert ended(job)["status"] == "failed"
    again = ended(job.retry())
    assert again["status"] == "completed"
    assert good.read_text() == "."
    assert again["tasks"][2]["result"]["needs"] == {"good": {"calls": 1}, "bad": {"calls": 4}}


def test_failure_stops_the_steps_that_have_not_begun(client: Client) -> None:
    steps = [
        step("bad", "fail"),
        *(step(f"s{n}", needs=["bad"] if n % 2 else []) for n in range(9)),
    ]
    steps.append(step("after", needs=["s0"], trigger="all_done"))
    job = client.workflow(steps, on_failure="stop")
    found = {each["name"]: each for each in ended(job)["tasks"]}
    assert found["bad"]["state"] == "failed"
    assert found["s1"]["state"] == "cancelled"
    assert job.status in ("failed", "partial")


def test_call_over_its_hard_limit_is_left_and_its_thread_costs_nobody(client: Client) -> None:
    for task in ("sleep", "sleep_async"):
        job = client.service("test", "stubborn", task=task)
        told = ended(job)
        assert (job.status, told["state"]) == ("timed_out", "timed_out")
        assert told["reason"] == "time_limit"
        assert told["status"] == "failed"
    assert ended(client.service("test", "stubborn", task="soft"))["result"] == "what there was"


def test_cancelled_call_learns_of_it_and_is_stopped(client: Client, tmp_path: Path) -> None:
    for task in ("wait", "wait_async"):
        path = tmp_path / task
        job = client.service("test", "any", task=task, input={"path": str(path)})
        client.start()
        eventually(path.exists, within_s=20)
        job.cancel()
        job.wait(timeout_s=20)
        assert job.status == "cancelled"
    eventually(lambda: (tmp_path / "wait_async").read_text() == "cancelled", within_s=5)


def test_heavy_call_runs_in_a_process_of_its_own(client: Client) -> None:
    job = client.service("test", "heavy", task="where")
    assert job.info()["kind"] == "heavy_service"
    told = ended(job)
    assert told["result"]["pid"] != psutil.Process().pid
    assert not psutil.pid_exists(told["result"]["pid"])
    assert not Path(told["result"]["folder"]).exists()
    assert ended(client.service("test", "heavy", task="later"))["result"] == "async"
    assert ended(client.service("test", "text", task="count", input={"text": "a"}, heavy=True))[
        "result"
    ] == {"words": 1}


def test_heavy_call_over_its_hard_limit_is_killed_with_all_it_started(
    client: Client, tmp_path: Path
) -> None:
    path, before = tmp_path / "pids", killed("brief", "stopped")
    job = client.service("test", "brief", task="hang", input={"path": str(path)})
    told = ended(job)
    assert (job.status, told["reason"]) == ("timed_out", "time_limit")
    pids = [int(pid) for pid in path.read_text().split()]
    eventually(lambda: not any(alive(pid) for pid in pids), within_s=5)
    eventually(lambda: killed("brief", "stopped") == before + 1, within_s=5)


def test_killed_call_gives_its_slot_back_at_once(client: Client, tmp_path: Path) -> None:
    inputs = [{"path": str(tmp_path / str(number))} for number in range(3)]
    job = client.service("test", "single", task="hang", inputs=inputs)
    began = time.monotonic()
    told = ended(job)
    # A lease lasts a minute here.
    assert time.monotonic() - began < 45
    assert [each["reason"] for each in told["tasks"]] == ["time_limit"] * 3
    pids = [(tmp_path / str(number)).read_text().split() for number in range(3)]
    assert not any(alive(int(pid)) for both in pids for pid in both)


def test_cancelled_heavy_call_is_killed(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "pids"
    job = client.service("test", "heavy", task="hang", input={"path": str(path)})
    eventually(lambda: path.exists() and path.read_text(), within_s=20)
    pids = [int(pid) for pid in path.read_text().split()]
    job.cancel()
    job.wait(timeout_s=20)
    assert job.status == "cancelled"
    eventually(lambda: not any(alive(pid) for pid in pids), within_s=5)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def killed(service: str, reason: str) -> float:
    """Return how many children of the service were counted as ended without an answer."""
    labels = {"mode": "test", "service": service, "reason": reason}
    name = "quayline_service_child_kills_total"
    return metrics.begin().get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("task", "reason", "error"),
    [
        ("crash", "crashed", "SIGSEGV"),
        ("leave", "crashed", "exit code 3"),
        ("eat", "out_of_memory", "MiB of memory"),
        ("fail", "error", "ValueError: It did not work"),
    ],
)
def test_heavy_call_that_dies_costs_only_itself(
    client: Client, task: str, reason: str, error: str
) -> None:
    before = killed("once", reason)
    job = client.service("test", "once", task=task)
    told = ended(job)
    assert (job.status, told["reason"]) == ("failed", reason)
    assert error in told["error"]
    # One that has failed has said so.
    assert killed("once", reason) == before + (reason != "error")


def test_input_that_is_too_large_or_no_json_is_refused(client: Client) -> None:
    with pytest.raises(Refused, match="QUAYLINE_SERVICE_INPUT_BYTES"):
        client.service("test", "any", task="echo", input={"a": "x" * 2 * MIB})
    with pytest.raises(Refused, match="input"):
        client.service("test", "any", task="echo", input={"a": {1, 2}})
    step = {"name": "a", "mode": "test", "service": "any", "task": "echo"}
    with pytest.raises(Refused, match="two steps are named 'a'"):
        client.workflow([step, step])


def test_heavy_call_goes_on_in_the_next_process_when_this_one_closes(tmp_path: Path) -> None:
    path = tmp_path / "steps"
    given = {"steps": 30, "path": str(path), "pause_s": 0.1}
    with Client(settings_in(tmp_path)) as first:
        job = first.service("test", "heavy", task="steps", input=given)
        eventually(lambda: path.exists() and path.read_text().count("\n") > 3, within_s=20)
    begun = path.read_text().count("\n")
    with Client(settings_in(tmp_path)) as second:
        told = ended(second.job(job.id))
    assert told["result"] == {"attempt": 2}
    assert told["context"]["runs"] == 2
    lines = path.read_text().splitlines()
    assert begun <= int(lines[begun].partition(":")[2]) + 2
    assert len(lines) <= 32


@pytest.mark.parametrize("heavy", [False, True])
def test_long_work_goes_on_in_pieces(client: Client, heavy: bool) -> None:
    job = client.service("test", "once", task="pieces", input={"pieces": 5}, heavy=heavy)
    told = ended(job)
    assert told["result"] == {"pieces": 5}
    assert told["context"]["runs"] == 6


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize(
    ("service", "task", "status", "told"),
    [
        ("hostile", "flood", "completed", "done"),
        ("hostile", "surrogate", "completed", "half ? and "),
        ("hostile", "deep", "failed", "The result is no JSON"),
        ("hostile", "interrupt", "failed", "KeyboardInterrupt"),
        ("hostile", "exit", "failed", "SystemExit: bye"),
        ("hostile", "unspeakable", "failed", "Unspeakable"),
        ("hostile", "long_error", "failed", "ValueError: "),
        ("hostile", "large_checkpoint", "failed", "The checkpoint takes more than"),
        ("hostile", "threads", "completed", "done"),
        ("hostile", "after_the_end", "completed", "done"),
        ("unborn", "call", "failed", "OSError: no licence"),
    ],
)
def test_whatever_a_service_does_is_an_answer(
    client: Client, service: str, task: str, status: str, told: str, heavy: bool
) -> None:
    found = ended(client.service("test", service, task=task, heavy=heavy))
    assert found["status"] == status
    assert told in str(found.get("result", found.get("error")))
    if task == "threads":
        assert found["context"]["models"]["m"]["calls"] == 1000
    beside = client.service("test", "text", task="count", input={"text": "a"})
    assert ended(beside)["status"] == "completed"


@pytest.mark.parametrize(
    ("task", "given", "error"),
    [
        ("count", {}, "The input of 'count' lacks text"),
        ("_hidden", {"text": ""}, "has no task '_hidden'; it has count"),
        ("__init__", {"text": ""}, "has no task"),
    ],
)
def test_call_that_the_service_is_known_not_to_take_is_refused(
    client: Client, task: str, given: dict[str, Any], error: str
) -> None:
    with pytest.raises(Refused, match=error):
        client.service("test", "text", task=task, input=given)


def test_what_is_offered_is_listed(client: Client) -> None:
    ended(client.service("test", "any", task="echo"))
    offered = {(each.mode, each.name): each for each in client.services}
    text = offered["test", "text"]
    assert text.tasks == ["count", "count_later", "misfit"]
    assert not text.takes_any
    assert text.description == "Counts words.\n\nAnd nothing else."
    assert text.input_schema is not None
    assert text.input_schema["required"] == ["text"]
    assert offered["test", "heavy"].heavy
    assert offered["test", "narrow"].limits["concurrency"] == 2
