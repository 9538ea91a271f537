"""Built-in services with real workers: on RabbitMQ and PostgreSQL, and embedded."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from pipeline import Client
from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.errors import Refused
from pipeline.kinds.service import finish
from pipeline.kinds.service.standing import standing
from pipeline.settings import Settings
from pipeline.store.database import execute, session
from tests.support.faults import Fleet
from tests.support.model_server import Cut, ModelServer, Silent, Status, document, model_server
from tests.support.waiting import eventually
from tests.support.workers import Process, running

pytestmark = pytest.mark.timeout(120)

QUEUES = ("fast_tasks", "heavy_tasks", "monitoring")
ANALYSIS = {
    **{"language": "zh", "sentiment": "neutral", "score": 0.0, "topics": ["情感"]},
    **{"intent": "An analysis.", "summary": "A request."},
}
OUTLINE = {
    "title": "人工智能发展趋势",
    "sections": [{"title": f"第{number}节", "points": []} for number in range(1, 6)],
}
#: The two calls of the requirement document, word for word.
ANALYZE: dict[str, Any] = {
    "task_name": "analyze_text",
    "mode": "chat",
    "service": "text_analyzer",
    "input_data": {"text": "分析这段文本的情感倾向"},
    "context": {"language": "zh", "model": "gpt-3.5-turbo"},
}
GENERATE: dict[str, Any] = {
    "task_name": "generate_document",
    "mode": "document",
    "service": "doc_generator",
    "input_data": {"topic": "人工智能发展趋势", "length": "5000字", "style": "学术论文"},
    "context": {"template": "academic", "references": True, "citations": True},
}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as listening:
        yield listening


@pytest.fixture
def served(fleet: Fleet, server: ModelServer) -> Fleet:
    """A deployment whose workers know the server."""
    fleet.more_env["QUAYLINE_MODELS"] = told_models(server)
    return fleet


def told_models(server: ModelServer) -> str:
    return json.dumps({"local": {"base_url": server.url, "key": "sk-local", "model": "small"}})


def fleet_of_two(served: Fleet) -> list[Process]:
    workers = [served.worker(name, queues=QUEUES) for name in ("one", "two")]
    return [*workers, served.scheduler()]


def submit(call: dict[str, Any], *, kind: str = "service", **more: Any) -> uuid.UUID:
    parameters: dict[str, Any] = {
        **{name: call[name] for name in ("mode", "service", "context") if name in call},
        **{"task": call["task_name"], **more},
    }
    if "inputs" not in more:
        parameters["input"] = call["input_data"]
    return jobs.submit(Submission(kind=kind, parameters=parameters))


def chat(prompt: str) -> dict[str, Any]:
    return {
        **{"task_name": "complete", "mode": "chat", "service": "chat"},
        "input_data": {"prompt": prompt},
    }


def ended(job_id: uuid.UUID, *, within_s: float = 60) -> dict[str, Any]:
    """Return the job's result, once it stands."""

    def is_finalized() -> bool:
        return jobs.get(job_id).finalized_at is not None

    eventually(is_finalized, within_s=within_s, what="the job has ended", every_s=0.1)
    return finish.result(jobs.get(job_id))


def strikes(job_id: uuid.UUID) -> int:
    with session():
        [(told,)] = execute("SELECT sum(strikes) FROM tasks WHERE job_id = %s", job_id.hex)
    return int(told)


def paused() -> bool:
    with session():
        return bool(execute("SELECT 1 FROM service_pauses"))


def test_calls_of_the_requirements_are_made(served: Fleet, server: ModelServer) -> None:
    with running(*fleet_of_two(served)):
        server.answer = lambda asked: json.dumps(ANALYSIS)
        told = ended(submit(ANALYZE, user_id="user_123", step=1))
        assert (told["status"], told["task"], told["result"]) == (
            *("completed", "analyze_text", ANALYSIS),
        )
        models = told["context"]["models"]
        assert models["gpt-3.5-turbo"]["calls"] == 1
        assert models["gpt-3.5-turbo"]["input_tokens"] == 11
        assert models["gpt-3.5-turbo"]["output_tokens"] > 5
        server.answer = document(OUTLINE)
        job_id = submit(GENERATE, kind="heavy_service", user_id="user_123", step=1)
        told = ended(job_id)
        assert told["status"] == "completed", told
    [task] = jobs.tasks(job_id)
    assert told["result"]["document_id"] == str(task["id"])
    assert told["result"]["text"].count("\n## ") == 6
    assert told["context"]["models"]["small"]["calls"] == 7


def test_retry_after_of_the_endpoint_holds_for_every_worker(
    served: Fleet, server: ModelServer
) -> None:
    server.fails(Status(429, "Slow down.", "3"))
    with running(*fleet_of_two(served)):
        first = submit(chat("first"))
        eventually(paused, within_s=30)
        inputs = [{"prompt": f"number {number}"} for number in range(8)]
        rest = submit(chat(""), inputs=inputs)
        assert ended(first)["status"] == "completed"
        assert ended(rest)["status"] == "completed"
    assert len(server.asked) == 10
    at = [asked.at for asked in server.asked]
    assert min(at[1:]) - at[0] >= 2.95
    assert strikes(first) == 0


def test_answer_that_was_cut_is_asked_for_again_and_counted(
    served: Fleet, server: ModelServer
) -> None:
    server.fails(Cut(after=2, usage=True), Status(500))
    with running(*fleet_of_two(served)):
        job_id = submit(chat("Hello there, my friend"))
        told = ended(job_id)
    assert told["result"]["text"] == "You said: Hello there, my friend"
    assert strikes(job_id) == 2
    context = told["context"]
    assert context["runs"] == 3
    assert context["models"] == {"small": {"calls": 2, "input_tokens": 22, "output_tokens": 8}}


def test_answer_is_shown_while_it_comes_and_a_cancel_ends_it(
    served: Fleet, server: ModelServer
) -> None:
    server.fails(Silent(after=2))
    with running(*fleet_of_two(served)):
        job_id = submit(chat("Hello"))
        eventually(lambda: standing(job_id).partial == "You said: Hello"[:16], within_s=30)
        assert server.left == 0
        jobs.cancel(job_id, actor="ann")
        began = time.monotonic()
        eventually(lambda: server.left == 1, within_s=10)
        # Workers hear of a cancel with their next heartbeat.
        assert time.monotonic() - began < 6
        assert ended(job_id)["state"] == "cancelled"


def test_document_goes_on_from_its_checkpoint_after_its_process_was_killed(
    served: Fleet, server: ModelServer
) -> None:
    server.answer = document(OUTLINE)
    server.fails(None, None, None, Silent(after=1))
    worker = served.worker("one", queues=QUEUES)
    with running(worker, served.scheduler()):
        job_id = submit(GENERATE, kind="heavy_service")
        eventually(lambda: len(server.asked) == 4, within_s=40)
        eventually(has_checkpoint(job_id, sections=2), within_s=10)
        [child] = [each for each in worker.family() if "service.child" in " ".join(each.cmdline())]
        child.kill()
        told = ended(job_id)
    assert told["status"] == "completed", told
    # The outline, two sections, the one that was cut, three sections, references.
    assert len(server.asked) == 8
    assert told["result"]["text"].count("\n## ") == 6
    assert told["context"]["runs"] == 2
    assert psutil.pid_exists(child.pid) is False


def has_checkpoint(job_id: uuid.UUID, *, sections: int) -> Any:
    def reached() -> bool:
        with session():
            rows = execute("SELECT checkpoint FROM service_runs WHERE job_id = %s", job_id.hex)
        return any(text and len(json.loads(text)["sections"]) >= sections for (text,) in rows)

    return reached


def test_embedded_client_has_them_without_a_word(tmp_path: Path, server: ModelServer) -> None:
    settings = Settings(
        state_dir=tmp_path / "state",
        models=SecretStr(told_models(server)),
        backoff_s=0.05,
        sweep_s=0.2,
        threads=2,
    )
    server.answer = document(OUTLINE)
    with Client(settings) as client:
        job = client.service(
            *("document", "doc_generator"),
            task="generate_document",
            input=GENERATE["input_data"],
            context=GENERATE["context"],
        )
        assert job.info()["kind"] == "heavy_service"
        steps = [
            {
                **{"name": "words", "mode": "text", "service": "statistics", "task": "count"},
                "input": {"text": "一二三"},
            },
            {
                **{"name": "page", "mode": "document", "service": "render", "task": "render"},
                "needs": ["words"],
                "input": {
                    "template": "{{ n }} words",
                    "values": {"n": {"$from": "words", "path": "words"}},
                },
            },
        ]
        page = client.workflow(steps)
        assert job.wait(timeout_s=60).result()["result"]["title"] == OUTLINE["title"]
        found = page.wait(timeout_s=60).result()["tasks"]
        assert found[1]["result"]["text"] == "3 words"
        light = client.service("chat", "chat", task="complete", input={"prompt": "Hello"})
        assert light.wait(timeout_s=60).result()["result"]["text"] == "Text of Hello"


def test_what_is_offered_says_which_task_takes_what(tmp_path: Path) -> None:
    with Client(Settings(state_dir=tmp_path / "state")) as client:
        with pytest.raises(Refused, match="The input of 'classify' lacks labels"):
            client.service("chat", "text_analyzer", task="classify", input={"text": "x"})
        offered = {f"{each.mode}/{each.name}": each for each in client.services}
    assert offered["document/doc_generator"].heavy
    schema = offered["chat/text_analyzer"].input_schema
    assert schema is not None
    assert schema["tasks"]["summarize"] == {"$ref": "#/$defs/TextToSummarize"}
    output = offered["text/sentiment"].output_schema
    assert output is not None
    assert "sentiment" in output["$defs"]["Sentiment"]["properties"]
