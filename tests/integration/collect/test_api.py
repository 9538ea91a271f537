"""The API collector against a real API with all its faults."""

import base64
import csv
import io
import signal
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.collect.collectors import api
from tests.integration.collect.local_server import Asked, LocalServer, Reply, jsonic
from tests.support.waiting import eventually

ROWS = [{"id": number, "name": f"n{number}", "deep": {"x": number}} for number in range(25)]


def by_page(asked: Asked) -> Reply:
    start = (int(asked.query["page"]) - 1) * 10
    return jsonic({"data": ROWS[start : start + 10], "pages": 3})


def by_offset(asked: Asked) -> Reply:
    """Gives seven at a time, whatever was asked for."""
    start = int(asked.query["offset"])
    return jsonic({"data": ROWS[start : start + 7], "total": len(ROWS)})


def by_cursor(asked: Asked) -> Reply:
    start = int(asked.query.get("cursor", "0"))
    following = str(start + 10) if start + 10 < len(ROWS) else None
    return jsonic({"data": ROWS[start : start + 10], "next_cursor": following})


def by_link(asked: Asked) -> Reply:
    start = int(asked.query.get("from", "0"))
    told = {"Link": f'<?from={start + 10}>; rel="next", </first>; rel="first"'}
    headers = told if start + 10 < len(ROWS) else {}
    return jsonic({"data": ROWS[start : start + 10]}, headers=headers)


def config(site: LocalServer, **more: Any) -> dict[str, Any]:
    return {"endpoint": f"{site.url}/rows", "records_path": "$.data", **more}


@pytest.mark.parametrize(
    ("route", "pagination", "requests"),
    [
        (by_page, {"type": "page", "total_pages_path": "$.pages"}, 3),
        (by_page, {"type": "page"}, 4),
        (by_offset, {"type": "offset", "total_path": "$.total", "size": 10}, 4),
        (by_offset, {"type": "offset", "size": 10}, 5),
        (by_cursor, {"type": "cursor"}, 3),
        (by_link, {"type": "link"}, 3),
    ],
)
def test_every_page_is_collected_once(
    site: LocalServer, tmp_path: Path, route: Any, pagination: dict[str, Any], requests: int
) -> None:
    site.routes["/rows"] = route
    run = api(tmp_path, config(site, pagination=pagination))

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS
    assert len(site.asked) == requests
    assert run.result()["result_data"]["processed_records"] == 25


@pytest.mark.parametrize(
    ("route", "pagination"),
    [
        (by_page, {"type": "page", "total_pages_path": "$.pages"}),
        (by_offset, {"type": "offset", "total_path": "$.total"}),
    ],
)
@pytest.mark.parametrize("times", [1, 9])
def test_page_without_records_before_the_total_is_no_end(
    site: LocalServer, tmp_path: Path, route: Any, pagination: dict[str, Any], times: int
) -> None:
    """An error that is told with 200."""
    site.routes["/rows"] = lambda asked: (
        jsonic({"error": "busy"}) if 2 <= asked.times <= 1 + times else route(asked)
    )
    run = api(tmp_path, config(site, pagination=pagination, max_retries=1))

    code, said = run.run()

    assert code == (0 if times == 1 else 1), said
    if code == 0:
        assert run.records() == ROWS
    else:
        assert "Page 2 has no records" in run.result()["error_message"]


def test_next_url_in_the_document_is_followed(site: LocalServer, tmp_path: Path) -> None:
    site.routes["/rows"] = lambda asked: jsonic({"data": ROWS[:2], "next": "/more?x=1"})
    site.routes["/more"] = lambda asked: jsonic({"data": ROWS[2:4], "next": None})
    pagination = {"type": "link", "next_path": "$.next"}
    run = api(tmp_path, config(site, pagination=pagination, params={"limit": 2}))

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS[:4]
    assert (site.asked[0].query, site.asked[1].query) == ({"limit": "2"}, {"x": "1"})


def test_post_carries_its_pages_in_the_body(site: LocalServer, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        start = asked.json()["offset"]
        return jsonic(ROWS[start : start + 10])

    site.routes["/rows"] = answer
    told = config(site, method="POST", body={"q": "all"}, records_path="$[*]")
    run = api(tmp_path, {**told, "pagination": {"type": "offset"}})

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS
    assert site.asked[0].json() == {"q": "all", "offset": 0, "limit": 100}


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (
            {"type": "basic", "username": "ü", "password": {"env": "API_SECRET"}},
            "authorization",
            "Basic " + base64.b64encode("ü:p4ssw0rd-x".encode()).decode(),
        ),
        (
            {"type": "bearer", "token": {"env": "API_SECRET"}},
            "authorization",
            "Bearer p4ssw0rd-x",
        ),
        ({"type": "api_key", "key": {"env": "API_SECRET"}}, "x-api-key", "p4ssw0rd-x"),
    ],
)
def test_proof_is_sent_and_never_logged(
    site: LocalServer, tmp_path: Path, auth: dict[str, Any], header: str, value: str
) -> None:
    def guarded(asked: Asked) -> Reply:
        if asked.headers.get(header) != value:
            return Reply(status=401)
        return jsonic({"data": ROWS[:1]}) if asked.times > 1 else Reply(status=500)

    site.routes["/rows"] = guarded
    run = api(tmp_path, config(site, auth=auth))
    run.environment["API_SECRET"] = "p4ssw0rd-x"

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS[:1]
    assert "p4ssw0rd-x" not in said + (run.output / "result.json").read_text()


def test_key_in_the_query_is_on_every_page_and_in_no_log(site: LocalServer, tmp_path: Path) -> None:
    def guarded(asked: Asked) -> Reply:
        if asked.query.get("key") != "p4ss/w0rd":
            return Reply(b"bad key p4ss%2Fw0rd", status=403)
        return by_link(asked) if "from" not in asked.query else Reply(b"p4ss/w0rd", status=403)

    site.routes["/rows"] = guarded
    auth = {"type": "api_key", "key": "p4ss/w0rd", "location": "query", "name": "key"}
    run = api(tmp_path, config(site, auth=auth, pagination={"type": "link"}))

    code, said = run.run()

    assert code == 1
    assert [each.query.get("key") for each in site.asked] == ["p4ss/w0rd"] * 2
    assert "403" in run.result()["error_message"]
    result = (run.output / "result.json").read_text()
    assert all(each not in said + result for each in ("p4ss/w0rd", "p4ss%2Fw0rd"))
    assert run.records() == ROWS[:10]


def test_variable_that_is_not_set_is_refused(site: LocalServer, tmp_path: Path) -> None:
    auth = {"type": "bearer", "token": {"env": "NOT_SET_ANYWHERE"}}
    run = api(tmp_path, config(site, auth=auth))

    code, _ = run.run()

    assert code == 2
    assert "NOT_SET_ANYWHERE" in run.result()["error_message"]
    assert site.asked == []


@pytest.mark.parametrize("place", ["header", "body"])
def test_oauth_token_is_renewed_when_it_is_refused(
    site: LocalServer, tmp_path: Path, place: str
) -> None:
    def token(asked: Asked) -> Reply:
        form = asked.body.decode()
        assert "grant_type=client_credentials" in form
        if place == "body":
            assert "client_secret=s%2Fecret" in form
        else:
            told = base64.b64encode(b"me:s%2Fecret").decode()
            assert asked.headers["authorization"] == f"Basic {told}"
        return jsonic({"access_token": f"token-{asked.times}", "expires_in": "3600"})

    def guarded(asked: Asked) -> Reply:
        """The first token is withdrawn after one page."""
        wanted = "Bearer token-1" if asked.times == 1 else "Bearer token-2"
        return by_page(asked) if asked.headers["authorization"] == wanted else Reply(status=401)

    site.routes.update({"/rows": guarded, "/token": token})
    auth = {
        "type": "oauth2",
        "token_url": f"{site.url}/token",
        "client_id": "me",
        "client_secret": "s/ecret",
        "credentials_in": place,
    }
    run = api(tmp_path, config(site, auth=auth, pagination={"type": "page"}))

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS
    assert site.paths().count("/token") == 2


def test_oauth_token_is_renewed_before_it_ends(site: LocalServer, tmp_path: Path) -> None:
    site.routes["/token"] = lambda asked: jsonic({"access_token": "t", "expires_in": 0})
    site.routes["/rows"] = by_page
    auth = {"type": "oauth2", "token_url": f"{site.url}/token", "client_id": "a"}
    run = api(
        tmp_path,
        config(site, auth={**auth, "client_secret": "bcde"}, pagination={"type": "page"}),
    )

    code, said = run.run()

    assert code == 0, said
    assert site.paths().count("/token") == site.paths().count("/rows")


def test_refused_token_is_a_failure(site: LocalServer, tmp_path: Path) -> None:
    site.routes["/token"] = lambda asked: jsonic({"error": "invalid_client"}, status=401)
    auth = {"type": "oauth2", "token_url": f"{site.url}/token", "client_id": "a"}
    run = api(tmp_path, config(site, auth={**auth, "client_secret": "bcde"}))

    code, _ = run.run()

    assert code == 1
    assert "client_secret" in run.result()["error_message"]


def test_busy_api_is_asked_again_at_the_time_it_said(site: LocalServer, tmp_path: Path) -> None:
    def busy(asked: Asked) -> Reply:
        if asked.times == 1:
            return Reply(status=429, headers={"Retry-After": "1"})
        if asked.times == 2:
            moment = datetime.now(UTC) + timedelta(seconds=2)
            return Reply(status=503, headers={"Retry-After": format_datetime(moment, usegmt=True)})
        if asked.times == 3:
            return Reply(b"<html>maintenance</html>", headers={"Content-Type": "text/html"})
        return jsonic({"data": ROWS})

    site.routes["/rows"] = busy
    run = api(tmp_path, config(site))

    code, said = run.run()

    assert code == 0, said
    first, second, third, *_ = (each.at for each in site.asked)
    assert second - first >= 0.95
    assert third - second >= 0.9
    assert run.records() == ROWS


def test_wait_that_is_too_long_is_a_failure_that_says_so(site: LocalServer, tmp_path: Path) -> None:
    site.routes["/rows"] = lambda asked: Reply(status=429, headers={"Retry-After": "86400"})
    run = api(tmp_path, config(site, max_retry_after_s=60))

    code, _ = run.run()

    assert code == 1
    assert "86400" in run.result()["error_message"]
    assert len(site.asked) == 1


def test_requests_per_second_are_kept(site: LocalServer, tmp_path: Path) -> None:
    site.routes["/rows"] = by_offset
    run = api(tmp_path, config(site, pagination={"type": "offset"}, requests_per_second=5))

    code, said = run.run()

    assert code == 0, said
    moments = [each.at for each in site.asked]
    assert len(moments) == 5
    assert moments[-1] - moments[0] >= 0.75


@pytest.mark.parametrize(
    ("pagination", "answer"),
    [
        ({"type": "cursor"}, {"next_cursor": "again"}),
        ({"type": "page"}, {}),
        ({"type": "offset"}, {}),
        ({"type": "link", "next_path": "$.next"}, {"next": "/rows?again"}),
    ],
)
def test_endless_pages_are_a_failure_with_what_there_is(
    site: LocalServer, tmp_path: Path, pagination: dict[str, Any], answer: dict[str, Any]
) -> None:
    site.routes["/rows"] = lambda asked: jsonic({"data": ROWS[:3], **answer})
    run = api(tmp_path, config(site, pagination=pagination))

    code, said = run.run()

    assert code == 1, said
    assert len(site.asked) <= 3
    assert run.records()[:3] == ROWS[:3]


def test_cursor_that_comes_back_later_is_seen(site: LocalServer, tmp_path: Path) -> None:
    circle = {"": "a", "a": "b", "b": "c", "c": "a"}

    def round_and_round(asked: Asked) -> Reply:
        here = asked.query.get("cursor", "")
        return jsonic({"data": [{"at": here, "n": asked.times}], "next_cursor": circle[here]})

    site.routes["/rows"] = round_and_round
    run = api(tmp_path, config(site, pagination={"type": "cursor"}))

    code, _ = run.run()

    assert code == 1
    assert len(site.asked) == 4


def test_guards_end_a_collection_that_says_it_is_truncated(
    site: LocalServer, tmp_path: Path
) -> None:
    site.routes["/rows"] = by_cursor
    pages = api(tmp_path / "p", config(site, pagination={"type": "cursor"}, max_pages=2))
    records = api(tmp_path / "r", config(site, pagination={"type": "cursor"}, max_records=13))

    outcomes = [pages.run()[0], records.run()[0]]

    assert outcomes == [0, 0]
    assert (len(pages.records()), len(records.records())) == (20, 13)
    assert pages.result()["result_data"]["truncated"] is True
    assert records.result()["result_data"]["truncated"] is True


def test_proof_goes_to_no_other_origin(site: LocalServer, tmp_path: Path) -> None:
    elsewhere = f"http://localhost:{site.port}/rows"
    site.routes["/link"] = lambda asked: jsonic({"data": [], "next": elsewhere})
    site.routes["/redirect"] = lambda asked: Reply(status=307, headers={"Location": elsewhere})
    auth = {"type": "api_key", "key": "secret-key"}
    told = {"auth": auth, "pagination": {"type": "link", "next_path": "$.next"}}
    for path in ("/link", "/redirect"):
        run = api(tmp_path / path[1:], {**config(site, **told), "endpoint": f"{site.url}{path}"})

        code, _ = run.run()

        assert code == 1
        assert "another origin" in run.result()["error_message"]
    assert site.paths() == ["/link", "/redirect"]


def test_fields_and_unique_records_are_kept_in_stable_columns(
    site: LocalServer, tmp_path: Path
) -> None:
    rows = [*ROWS[:2], {"id": 1, "name": "again"}, {"id": 9, "name": 'a,"b"\nc', "deep": None}]
    site.routes["/rows"] = lambda asked: jsonic({"data": rows})
    fields = {"key": "$.id", "x": "$.deep.x", "name": "$.name"}
    told = config(site, data_fields=fields, unique_by=["$.id"], output_format="csv")
    run = api(tmp_path, told)

    code, said = run.run()

    assert code == 0, said
    text = (run.output / "records.csv").read_text("utf-8")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["key", "x", "name"],
        ["0", "0", "n0"],
        ["1", "1", "n1"],
        ["9", "", 'a,"b"\nc'],
    ]


def test_hostile_json_becomes_json_that_any_reader_takes(site: LocalServer, tmp_path: Path) -> None:
    body = (
        b'{"data": [{"a": NaN, "b": 1e999, "c": "\\ud800\\u0000", "d": 12345678901234567890123}]}'
    )
    site.routes["/rows"] = lambda asked: Reply(body)
    run = api(tmp_path, config(site))

    code, said = run.run()

    assert code == 0, said
    assert run.records() == [
        {"a": None, "b": None, "c": "\ufffd\ufffd", "d": 12345678901234567890123}
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"[" * 200_000),
        Reply(b'{"data": ['),
        Reply(b"\xff\xfe\xfd"),
        Reply(headers={"Content-Type": "application/json"}, endless=True),
        Reply(b"1" * 5000),
        Reply(b"no", status=400),
    ],
)
def test_answer_that_cannot_be_used_is_a_failure(
    site: LocalServer, tmp_path: Path, reply: Reply
) -> None:
    site.routes["/rows"] = lambda asked: reply
    run = api(tmp_path, config(site, max_retries=1, max_answer_bytes=1_000_000))

    code, said = run.run()

    assert code == 1, said
    assert run.result()["error_message"].endswith(".")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("route", "pagination", "signal_number"),
    [
        (by_page, {"type": "page"}, signal.SIGKILL),
        (by_offset, {"type": "offset"}, signal.SIGTERM),
        (by_cursor, {"type": "cursor"}, signal.SIGKILL),
        (by_link, {"type": "link"}, signal.SIGTERM),
    ],
)
def test_interrupted_collection_goes_on_without_loss_or_doubles(
    site: LocalServer,
    tmp_path: Path,
    route: Any,
    pagination: dict[str, Any],
    signal_number: signal.Signals,
) -> None:
    gate = threading.Event()

    def holding(asked: Asked) -> Reply:
        reply: Reply = route(asked)
        reply.gate = gate if asked.times == 2 else None
        return reply

    site.routes["/rows"] = holding
    run = api(tmp_path, config(site, pagination=pagination))
    with run.started() as process:
        eventually(lambda: len(site.asked) == 2, within_s=20)
        process.send_signal(signal_number)
        process.wait(9)
    first = site.asked[0].query

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS
    assert [each.query for each in site.asked].count(first) == 1


def test_forgotten_cursor_begins_anew(site: LocalServer, tmp_path: Path) -> None:
    gate = threading.Event()

    def forgetful(asked: Asked) -> Reply:
        if asked.times == 2:
            return jsonic({}, gate=gate)
        if asked.times == 3:
            return Reply(b"no such cursor", status=410)
        return by_cursor(asked)

    site.routes["/rows"] = forgetful
    run = api(tmp_path, config(site, pagination={"type": "cursor"}))
    with run.started() as process:
        eventually(lambda: len(site.asked) == 2, within_s=20)
        run.kill(process)

    code, said = run.run()

    assert code == 0, said
    assert run.records() == ROWS
