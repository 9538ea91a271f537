"""Dead letters over HTTP, for operators."""

import uuid
from collections.abc import Callable

import pytest
from dramatiq import MessageProxy
from dramatiq.brokers.stub import StubBroker

from pipeline import broker
from pipeline.core import dead_letters
from tests.integration.web.conftest import Api
from tests.support import factories as make

LETTERS = "/api/v1/dead-letters"
JOB = str(uuid.UUID(int=0xABC))


@pytest.fixture
def letters(api: Api) -> Callable[[int], list[str]]:
    """Let so many messages be set aside; return their ids, the newest first."""

    def set_aside(number: int) -> list[str]:
        made = broker.current_broker()
        assert isinstance(made, StubBroker)
        made.declare_queue("monitoring")
        dead = made.dead_letters_by_queue["monitoring"]
        for _ in range(number):
            dead.append(MessageProxy(broker.message("monitoring", "finish_job", JOB)))
        dead_letters.take_in()
        return [str(letter.id) for letter in dead_letters.listed()]

    return set_aside


def test_operator_leafs_through_them(api: Api, letters: Callable[[int], list[str]]) -> None:
    ids, client = letters(5), api.caller("operator")
    first = client.get(LETTERS, params={"limit": 3}).json()
    rest = client.get(LETTERS, params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None


def test_one_is_shown_with_its_body(api: Api, letters: Callable[[int], list[str]]) -> None:
    [letter_id] = letters(1)
    told = api.caller("operator").get(f"{LETTERS}/{letter_id}").json()
    assert (told["queue"], told["actor"], told["reason"]) == ("monitoring", "finish_job", "failed")
    assert JOB in told["body"]
    assert told["not_taken"] == ""


def test_one_is_sent_again(api: Api, letters: Callable[[int], list[str]]) -> None:
    [letter_id] = letters(1)
    make.take_messages()
    told = api.caller("operator").post(f"{LETTERS}/{letter_id}/replay").json()
    assert told["replayed_at"] is not None
    assert make.take_messages() == [("finish_job", (JOB,))]


def test_they_are_thrown_away_by_id_or_all(api: Api, letters: Callable[[int], list[str]]) -> None:
    ids, client = letters(5), api.caller("operator")
    assert client.delete(f"{LETTERS}/{ids[0]}").status_code == 204
    assert client.post(f"{LETTERS}/purge", json={"ids": ids[1:3]}).json() == {"purged": 2}
    assert client.get(f"{LETTERS}/{ids[0]}").status_code == 404
    assert client.delete(f"{LETTERS}/{ids[0]}").status_code == 404
    assert client.post(f"{LETTERS}/purge", json={"everything": True}).json() == {"purged": 2}


@pytest.mark.parametrize(
    "told", [{}, {"ids": []}, {"everything": False}, {"ids": [JOB], "everything": True}, {"x": 1}]
)
def test_purge_that_names_nothing_is_refused(
    api: Api, letters: Callable[[int], list[str]], told: dict[str, object]
) -> None:
    letters(1)
    assert api.caller("operator").post(f"{LETTERS}/purge", json=told).status_code == 422
    assert len(dead_letters.listed()) == 1
