"""Socket.IO: who may look on is told how jobs stand and what happens to them; nobody else is."""

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import socketio
from socketio.exceptions import ConnectionError as NotConnected

from pipeline.core import api_tokens, finishing, jobs, planning
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.kinds.service import accounts
from pipeline.kinds.service.accounts import Account, Before
from pipeline.states import TaskState
from pipeline.web import push
from tests.integration.web.conftest import Api
from tests.support import factories as make
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(60)


class Client:
    """A Socket.IO client as programs have it, and what it has been told."""

    def __init__(self, url: str, auth: Any = None, **told: Any) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.socket = socketio.Client(handle_sigint=False)
        for name in ("progress", "job", "end"):
            self.socket.on(name, lambda data, name=name: self.told.append((name, data)))
        self.socket.connect(url, auth=auth, wait_timeout=15, **told)

    def of(self, event: str, job_id: uuid.UUID) -> list[dict[str, Any]]:
        return [m for name, m in [*self.told] if name == event and m["job_id"] == str(job_id)]

    def until(self, event: str, job_id: uuid.UUID, **wanted: Any) -> dict[str, Any]:
        """Return the first such message, once it has come."""

        def found() -> dict[str, Any] | None:
            fit = [m for m in self.of(event, job_id) if wanted.items() <= m.items()]
            return fit[0] if fit else None

        told = eventually(found, within_s=20, what=f"{event} {wanted} has come")
        assert told is not None
        return told


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Connect clients; they are closed at the end."""
    clients: list[Client] = []

    def connected(*arguments: Any, **told: Any) -> Client:
        client = Client(*arguments, **told)
        clients.append(client)
        return client

    yield connected
    for each in clients:
        each.socket.disconnect()


def call(owner: str = "ann", user_id: str = "", tasks: int = 1, **told: Any) -> uuid.UUID:
    inputs = [{"n": n} for n in range(tasks)]
    parameters = {"mode": "m", "service": "s", "task": "t", "inputs": inputs, "user_id": user_id}
    return jobs.submit(Submission(kind="service", parameters={**parameters, **told}, owner=owner))


def under_way(job_id: uuid.UUID, context: Context) -> list[Account]:
    planning.run_plan(job_id, context)
    found = [
        Account(claim, user_id="", step=1, task="t", before=Before())
        for claim in make.claimed(context, job_id)
    ]
    accounts.write(found)
    return found


def end(job_id: uuid.UUID, told: list[Account], context: Context) -> None:
    make.close(job_id, [account.claim for account in told])
    finishing.run_finish(job_id, context)


def token(owner: str = "ann", role: str = "submitter") -> dict[str, str]:
    return {"token": api_tokens.create(owner, role)[1]}


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_an_owner_is_told_of_calls_as_they_go_on(
    api: Api, context: Context, connect: Callable[..., Client], transports: list[str]
) -> None:
    client = connect(api.url, token(), transports=transports)
    job_id = call(step=2)
    told = under_way(job_id, context)
    client.until("progress", job_id, status="running", step=2, task="t")
    told[0].note("progress", {"fraction": 0.5, "message": "half", "details": {}})
    accounts.write(told)
    client.until("progress", job_id, progress=0.5, message="half")
    end(job_id, told, context)
    assert "result" in client.until("progress", job_id, status="completed")
    assert client.until("end", job_id)["state"] == "succeeded"


def test_nobody_is_told_of_jobs_of_others(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    ann, bob = connect(api.url, token("ann")), connect(api.url, token("bob"))
    hers, his = call("ann"), call("bob")
    for job_id in (hers, his):
        end(job_id, under_way(job_id, context), context)
    ann.until("end", hers)
    bob.until("end", his)
    assert not ann.of("progress", his) + ann.of("end", his) + ann.of("job", his)
    assert not bob.of("progress", hers) + bob.of("end", hers) + bob.of("job", hers)
    # Nor by asking.
    assert "error" in ann.socket.call("subscribe", {"job_id": str(his)})


def test_an_operator_subscribes_to_any_job(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    client = connect(api.url, token("olga", "operator"))
    job_id = call("ann")
    told = under_way(job_id, context)
    assert client.socket.call("subscribe", {"job_id": str(job_id)}) == {"job_id": str(job_id)}
    client.until("progress", job_id, status="running")
    assert client.socket.call("unsubscribe", str(job_id)) == {"job_id": str(job_id)}
    other = call("ann")
    client.socket.call("subscribe", str(other))
    end(job_id, told, context)
    end(other, under_way(other, context), context)
    client.until("end", other)
    assert not client.of("end", job_id)


@pytest.mark.parametrize(
    "auth",
    [None, {}, {"token": ""}, {"token": "qlt_wrong"}, {"ticket": "qls_x.y"}, {"token": ["x"]}, "x"],
)
def test_who_brings_no_good_token_is_refused(api: Api, context: Context, auth: Any) -> None:
    with pytest.raises(NotConnected):
        Client(api.url, auth, retry=False)


def test_a_token_in_the_address_is_not_taken(api: Api, context: Context) -> None:
    with pytest.raises(NotConnected):
        Client(f"{api.url}?token={token()['token']}")


def test_a_client_may_bring_its_token_in_the_header(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    headers = {"Authorization": f"Bearer {token()['token']}"}
    assert connect(api.url, headers=headers).socket.connected


def test_who_comes_late_is_told_how_it_stands(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    job_id = call(tasks=2)
    told = under_way(job_id, context)
    told[0].note("partial", "So far")
    accounts.write(told)
    first, second = connect(api.url, token()), connect(api.url, token())
    for client in (first, second):
        assert client.until("progress", job_id, partial="So far")["partial_at"] == 0
    make.close(job_id, [told[0].claim])
    third = connect(api.url, token())
    third.until("progress", job_id, status="completed")
    third.until("progress", job_id, status="running")


def test_who_comes_back_is_told_what_ended_meanwhile(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    job_id = call()
    end(job_id, under_way(job_id, context), context)
    connect(api.url, token()).until("end", job_id)
    before = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    client = connect(api.url, {**token(), "since": before})
    client.until("progress", job_id, status="completed")
    later = connect(api.url, {**token(), "since": datetime.now(UTC).isoformat()})
    other = call()
    end(other, under_way(other, context), context)
    later.until("end", other)
    assert not later.of("end", job_id)


def test_a_room_is_told_once_of_what_ended(
    api: Api, context: Context, connect: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The looks in between find the ended job again, for a while."""
    monkeypatch.setattr("pipeline.web.followed.SCOUT_S", 0.0)
    client = connect(api.url, token())
    job_id = call()
    end(job_id, under_way(job_id, context), context)
    client.until("end", job_id)
    for _ in range(3):
        other = call()
        end(other, under_way(other, context), context)
        client.until("end", other)
    assert len(client.of("end", job_id)) == 1


def test_what_no_hint_tells_is_found(
    api: Api, context: Context, connect: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.events.changed", lambda job_ids: None)
    client = connect(api.url, token())
    job_id = call()
    told = under_way(job_id, context)
    client.until("progress", job_id, status="running")
    end(job_id, told, context)
    client.until("end", job_id)


# --- tickets ------------------------------------------------------------------------------------


def ticket(api: Api, **wanted: Any) -> str:
    told = api.caller().post("/api/v1/tickets", json=wanted)
    assert told.status_code == 201, told.text
    return str(told.json()["ticket"])


def test_a_ticket_for_a_user_shows_what_is_for_that_user(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    mine, theirs, elsewhere = call(user_id="u1"), call(user_id="u2"), call("bob", "u1")
    told = ticket(api, user_id="u1")
    client = connect(f"{api.url}?ticket={told}")
    for job_id in (mine, theirs, elsewhere):
        end(job_id, under_way(job_id, context), context)
    client.until("end", mine)
    assert {m["job_id"] for _, m in client.told} == {str(mine)}
    events = "/api/v1/jobs/{}/events?ticket={}"
    with httpx.Client(base_url=api.url) as nobody:
        assert nobody.get(events.format(mine, told)).status_code == 200
        assert nobody.get(events.format(theirs, told)).status_code == 404
        assert nobody.get(events.format(elsewhere, told)).status_code == 404
        assert nobody.get(f"/api/v1/jobs?ticket={told}").status_code == 401


def test_a_ticket_for_a_job_shows_that_job(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    mine, other = call(), call()
    client = connect(api.url, {"ticket": ticket(api, job_id=str(mine))})
    for job_id in (mine, other):
        end(job_id, under_way(job_id, context), context)
    client.until("end", mine)
    assert {m["job_id"] for _, m in client.told} == {str(mine)}


def test_a_ticket_is_for_ones_own_jobs_and_for_a_while(api: Api, context: Context) -> None:
    ann = api.caller()
    his = call("bob")
    assert ann.post("/api/v1/tickets", json={"job_id": str(his)}).status_code == 404
    assert ann.post("/api/v1/tickets", json={"life_s": 90_000}).status_code == 422
    assert api.bearer(None).post("/api/v1/tickets", json={}).status_code == 401
    mine = call()
    told = ticket(api, job_id=str(mine), life_s=1)

    def is_over() -> bool:
        address = f"/api/v1/jobs/{mine}/events?ticket={told}"
        return api.bearer(None).get(address).status_code == 401

    eventually(is_over, within_s=10, what="the ticket is taken no more")


@pytest.mark.parametrize("place", [5, -1, 20])
def test_a_ticket_that_was_changed_is_refused(api: Api, context: Context, place: int) -> None:
    told = ticket(api)
    changed = "A" if told[place] != "A" else "B"
    forged = told[:place] + changed + told[place:][1:]
    address = f"/api/v1/jobs/{call()}/events"
    assert api.bearer(None).get(address, params={"ticket": forged}).status_code == 401


# --- the example of the documentation -----------------------------------------------------------

EXAMPLE = Path(__file__).parents[2] / "samples" / "progress_client.py"


def test_the_plain_client_of_this_machine_is_told_what_is_for_its_user(
    served: Callable[..., Api], context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    api = served(api_local_user="user_123")
    code = EXAMPLE.read_text().replace("http://localhost:8000", api.url)
    names: dict[str, Any] = {}
    exec(compile(code, str(EXAMPLE), "exec"), names)
    well, badly, others = call("bob", "user_123"), call("", "user_123"), call("ann", "user_9")
    for job_id in (well, others):
        told = under_way(job_id, context)
        eventually(lambda: "正在执行步骤" in output(capsys), within_s=20, what="it runs")
        end(job_id, told, context)
        if job_id == well:
            eventually(lambda: "执行完成" in output(capsys), within_s=20, what="it has ended")
            break
    [account] = under_way(badly, context)
    make.close(badly, [account.claim], TaskState.FAILED)
    finishing.run_finish(badly, context)
    eventually(lambda: "执行失败" in output(capsys), within_s=20, what="it has failed")
    names["sio"].disconnect()


_printed: list[str] = []


def output(capsys: pytest.CaptureFixture[str]) -> str:
    """Return all that was printed in this process since the test began."""
    _printed.append(capsys.readouterr().out)
    return "".join(_printed)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_who_comes_by_a_proxy_is_no_user_of_this_machine(
    served: Callable[..., Api], context: Context, header: str
) -> None:
    api = served(api_local_user="user_123")
    with pytest.raises(NotConnected):
        Client(api.url, headers={header: "127.0.0.1"})


def test_a_page_of_another_origin_is_refused(served: Callable[..., Api], context: Context) -> None:
    api = served(api_local_user="user_123")
    for transport in ("polling", "websocket"):
        with pytest.raises(NotConnected):
            Client(api.url, headers={"Origin": "https://evil.example"}, transports=[transport])


# --- bounds -------------------------------------------------------------------------------------


def test_more_clients_than_allowed_are_refused(
    served: Callable[..., Api], context: Context, connect: Callable[..., Client]
) -> None:
    api = served(api_streams=1)
    first = connect(api.url, token())
    with pytest.raises(NotConnected):
        Client(api.url, token())
    first.socket.disconnect()

    def may_come() -> bool:
        try:
            connect(api.url, token())
        except NotConnected:
            return False
        return True

    eventually(may_come, within_s=20, what="there is room again")


def test_a_token_that_is_revoked_ends_its_connection(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    row, secret = api_tokens.create("ann", "submitter")
    client = connect(api.url, {"token": secret})
    ended = threading.Event()
    client.socket.on("disconnect", lambda *_: ended.set())
    client.socket.reconnection = False
    api_tokens.revoke(row.id)
    assert ended.wait(push.CHECK_S + 15)


def test_the_server_ends_at_once_though_clients_listen(
    api: Api, context: Context, connect: Callable[..., Client]
) -> None:
    for transport in ("polling", "websocket"):
        client = connect(api.url, token(), transports=[transport])
        client.socket.eio.reconnection = client.socket.reconnection = False
    began = time.monotonic()
    api.stop()
    assert time.monotonic() - began < 10


def test_clients_are_counted(api: Api, context: Context, connect: Callable[..., Client]) -> None:
    def counted() -> float:
        told = api.bearer(None).get("/metrics").text
        found = re.findall(r'quayline_http_streams{way="socket.io"} (\S+)', told)
        return float(found[0]) if found else 0.0

    client = connect(api.url, token())
    assert counted() == 1
    client.socket.disconnect()
    eventually(lambda: counted() == 0, within_s=10, what="it is gone")


@pytest.mark.parametrize("said", [None, {}, {"job_id": 7}, {"job_id": "x"}, [1], "no id"])
def test_what_is_no_job_is_told_so(
    api: Api, context: Context, connect: Callable[..., Client], said: Any
) -> None:
    client = connect(api.url, token())
    assert "job_id" in client.socket.call("subscribe", said)["error"]
    assert "job_id" in client.socket.call("unsubscribe", said)["error"]
