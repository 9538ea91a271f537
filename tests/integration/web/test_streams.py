"""Server-Sent Events: a job's messages as they happen; who comes back has missed nothing."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from pipeline.core import api_tokens, finishing, jobs, planning
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.kinds.service import accounts
from pipeline.kinds.service.accounts import Account, Before
from pipeline.web import streams
from pipeline.web.streams import MEDIA_TYPE
from tests.integration.web.conftest import Api
from tests.support import factories as make
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(60)

STREAM = {"Accept": MEDIA_TYPE}


class Reading:
    """A stream that is read in a thread; ``messages`` is what has come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.messages: list[tuple[str, str, dict[str, Any]]] = []
        self.has_ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        told: dict[str, str] = {}
        try:
            for line in self.response.iter_lines():
                name, _, value = line.partition(": ")
                if name in ("event", "id", "data"):
                    told[name] = value
                elif not line and "event" in told:
                    data = json.loads(told["data"])
                    self.messages.append((told["event"], told.get("id", ""), data))
                    told = {}
        except httpx.HTTPError:
            pass
        self.has_ended = True

    def until(self, event: str, **wanted: Any) -> dict[str, Any]:
        """Return the first message of that kind in which these stand, once it has come."""

        def found() -> dict[str, Any] | None:
            for name, _, data in [*self.messages]:
                if name == event and wanted.items() <= data.items():
                    return data
            return None

        told = eventually(found, within_s=20, what=f"{event} {wanted} has come")
        assert told is not None
        return told

    @property
    def last_id(self) -> str:
        """The id that a client would come back with."""
        return next(told for _, told, _ in reversed(self.messages) if told)

    @property
    def rows(self) -> list[int]:
        """The rows of the history that were told, in the order in which they came."""
        runs = [run for name, _, m in self.messages if name == "transition" for run in m["rows"]]
        return [n for a, b in runs for n in range(a, b + 1)]


@contextmanager
def reading(client: httpx.Client, job_id: uuid.UUID, **headers: str) -> Iterator[Reading]:
    address = f"/api/v1/jobs/{job_id}/events"
    with client.stream("GET", address, headers={**STREAM, **headers}) as response:
        assert response.status_code == 200, response.read()
        yield Reading(response)


def end(job_id: uuid.UUID, context: Context) -> None:
    make.work_off(job_id, context)
    finishing.run_finish(job_id, context)


def test_a_job_is_told_as_it_happens_to_its_end(api: Api, context: Context) -> None:
    job_id = make.pending_job(owner="ann", tasks=2)
    with reading(api.caller(), job_id) as told:
        assert told.response.headers["Content-Type"].startswith(MEDIA_TYPE)
        assert told.response.headers["Cache-Control"] == "no-store"
        told.until("transition", to_state="pending", subject="job")
        planning.run_plan(job_id, context)
        told.until("job", planned=True, total=2)
        end(job_id, context)
        assert told.until("end")["state"] == "succeeded"
        eventually(lambda: told.has_ended, within_s=20, what="the stream has ended")
        assert told.messages[-1][0] == "end"


def test_who_comes_back_has_missed_nothing_and_hears_nothing_twice(
    api: Api, context: Context
) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=4)
    ann = api.caller()
    with reading(ann, job_id) as first:
        first.until("job", planned=True)
    claims = make.claimed(context, job_id)
    for claim in claims[:2]:
        make.close(job_id, [claim])
    with reading(ann, job_id, **{"Last-Event-ID": first.last_id}) as second:
        second.until("job", done=2)
    make.close(job_id, claims[2:])
    finishing.run_finish(job_id, context)
    with reading(ann, job_id, **{"Last-Event-ID": second.last_id}) as third:
        third.until("end")
    rows = [*first.rows, *second.rows, *third.rows]
    assert sorted(rows) == [each["id"] for each in jobs.events(job_id)]


def test_a_stream_that_was_told_to_its_end_is_no_more(api: Api, context: Context) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=1)
    end(job_id, context)
    ann = api.caller()
    with reading(ann, job_id) as told:
        told.until("end")
        eventually(lambda: told.has_ended, within_s=20, what="the stream has ended")
    again = ann.get(
        f"/api/v1/jobs/{job_id}/events", headers={**STREAM, "Last-Event-ID": told.last_id}
    )
    assert again.status_code == 204


def test_an_id_of_another_stream_is_refused(api: Api, context: Context) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=1)
    told = api.caller().get(
        f"/api/v1/jobs/{job_id}/events", headers={**STREAM, "Last-Event-ID": "x"}
    )
    assert told.status_code == 422
    assert "event id" in told.json()["detail"]


def test_without_the_header_it_is_a_page(api: Api, context: Context) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=1)
    told = api.caller().get(f"/api/v1/jobs/{job_id}/events")
    assert told.json()["items"][0]["to_state"] == "pending"


def test_a_job_of_somebody_else_is_not_there(api: Api, context: Context) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=1)
    address = f"/api/v1/jobs/{job_id}/events"
    assert api.caller(owner="bob").get(address, headers=STREAM).status_code == 404
    assert api.bearer(None).get(address, headers=STREAM).status_code == 401
    with reading(api.caller("operator", "bob"), job_id) as told:
        told.until("job")


def test_a_token_that_is_revoked_ends_its_stream(
    api: Api, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ALIVE_S", 0.2)
    job_id = make.planned_job(context, owner="ann", tasks=1)
    token, secret = api_tokens.create("ann", "submitter")
    with reading(api.bearer(secret), job_id) as told:
        told.until("job")
        api_tokens.revoke(token.id)
        eventually(lambda: told.has_ended, within_s=20, what="the stream has ended")
    assert "end" not in {name for name, *_ in told.messages}


def test_more_streams_than_allowed_are_told_to_come_again(
    served: Callable[..., Api], context: Context
) -> None:
    api = served(api_streams=1)
    job_id = make.planned_job(context, owner="ann", tasks=1)
    ann = api.caller()
    with reading(ann, job_id) as told:
        told.until("job")
        second = ann.get(f"/api/v1/jobs/{job_id}/events", headers=STREAM)
        assert second.status_code == 503
        assert second.headers["Retry-After"]

    def may_come() -> bool:
        with ann.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=STREAM) as response:
            return response.status_code == 200

    eventually(may_come, within_s=20, what="there is room again")


def test_streams_keep_no_request_from_its_answer(
    served: Callable[..., Api], context: Context
) -> None:
    api = served(api_concurrency=2)
    job_id = make.planned_job(context, owner="ann", tasks=1)
    ann = api.caller()
    with reading(ann, job_id) as one, reading(ann, job_id) as two, reading(ann, job_id) as three:
        for each in (one, two, three):
            each.until("job")
        assert ann.get("/api/v1/jobs").status_code == 200


def test_the_server_ends_at_once_though_somebody_listens(api: Api, context: Context) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=1)
    with reading(api.caller(), job_id) as told:
        told.until("job")
        began = time.monotonic()
        api.stop()
        assert time.monotonic() - began < 8
        eventually(lambda: told.has_ended, within_s=20, what="the stream has ended")


def test_one_who_takes_nothing_is_let_go_and_costs_nobody_else(
    api: Api, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_BEHIND", 5)
    job_id, account = a_call(context)
    slow, quick = api.caller(), api.caller()
    with slow.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=STREAM) as held:
        assert held.status_code == 200
        with reading(quick, job_id) as told:
            told.until("job")
            wrote = 0

            def is_let_go() -> bool:
                """More than what the buffers on the way hold, a piece at a time."""
                nonlocal wrote
                wrote += 1
                account.note("partial", f"{wrote} ".ljust(200_000, "x"))
                accounts.write([account])
                told.until("progress", partial_at=(wrote - 1) * 200_000)
                return streams_open(api) == 1

            eventually(is_let_go, within_s=50, what="the slow one is let go", every_s=0.0)


def a_call(context: Context) -> tuple[uuid.UUID, Account]:
    """Return a service job with one call under way."""
    parameters = {"mode": "m", "service": "s", "task": "t"}
    job_id = jobs.submit(Submission(kind="service", parameters=parameters, owner="ann"))
    planning.run_plan(job_id, context)
    [claim] = make.claimed(context, job_id)
    account = Account(claim, user_id="", step=1, task="t", before=Before())
    accounts.write([account])
    return job_id, account


def streams_open(api: Api) -> int:
    """Return how many streams the server has open."""
    told = api.bearer(None).get("/metrics").text
    return int(float(re.findall(r'quayline_http_streams{way="events"} (\S+)', told)[0]))
