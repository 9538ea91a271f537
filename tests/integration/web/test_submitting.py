"""Jobs over HTTP: kept whole, or nothing of them is."""

import gzip
import io
import json
import os
import socket
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.core import jobs
from pipeline.kinds.sql_lint.gate import Baseline
from pipeline.store import spool
from pipeline.store.database import execute, session
from pipeline.web.server import serve_in_thread
from tests.integration.web.conftest import Api
from tests.support import factories as make
from tests.support.waiting import eventually

JOBS = "/api/v1/jobs"
LINT = {"kind": "sql_lint", "parameters": {"dialect": "ansi"}}


def archive() -> bytes:
    """Return a ZIP of one SQL file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        # Of a time of its own: it is the same archive whenever it is made.
        file.writestr(zipfile.ZipInfo("a.sql"), "SELECT 1\n")
    return out.getvalue()


def stored(api: Api) -> list[str]:
    """Return every file in the storage, those being written too."""
    return [each.name for each in api.context.blobs.listing()]


def open_spools() -> list[str]:
    """Return the nameless and named files of ours that this process holds open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name = os.readlink(descriptor)
        except OSError:
            continue
        if spool.PREFIX in name or ("/spool/" in name and "(deleted)" in name):
            found.append(name)
    return found


def form(request: dict[str, Any] | str, *, first: bool = True, **files: Any) -> dict[str, Any]:
    """Return a form; ``first``: the request stands before the file."""
    text = request if isinstance(request, str) else json.dumps(request)
    field = {"request": (None, text, "application/json")}
    told = {"file": ("repo.zip", archive(), "application/zip"), **files}
    return {"files": {**field, **told} if first else {**told, **field}}


def of(answer: httpx.Response) -> Any:
    """Return the row of the job that was submitted."""
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{JOBS}/{answer.json()['id']}"
    return jobs.get(answer.json()["id"])


# --- Ways in ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_form_is_a_job_in_either_order(api: Api, first: bool) -> None:
    told = {**LINT, "priority": 7, "labels": {"team": "web"}, "deadline_s": 60}
    row = of(api.caller(owner="ann").post(JOBS, **form(told, first=first)))
    assert (row.kind, row.owner, row.priority) == ("sql_lint", "ann", 7)
    assert (row.labels, row.parameters) == ({"team": "web"}, {"dialect": "ansi"})
    assert row.deadline_at is not None
    assert row.source["name"] == "repo.zip"
    assert api.context.blobs.read(row.source["digest"]) == archive()
    assert row.source["blobs"] == [row.source["digest"]]
    assert make.take_messages() == [("expand_archive", (str(row.id),))]


@pytest.mark.parametrize("media_type", ["application/zip", "application/x-tar", "application/gzip"])
def test_archive_itself_is_a_job_with_its_query(api: Api, media_type: str) -> None:
    query = (
        "kind=sql_lint&dialect=ansi&reports=json&reports=sarif&fix=true&priority=2"
        '&label=a=b&label=c=d=e&name=x.zip&parameters={"rules":"LT01"}'
    )
    content = {"application/x-tar": tar(), "application/gzip": gzip.compress(tar())}
    row = of(
        api.caller().post(
            f"{JOBS}?{query}",
            content=content.get(media_type, archive()),
            headers={"Content-Type": media_type},
        )
    )
    wanted = {"dialect": "ansi", "reports": ["json", "sarif"], "fix": "true", "rules": "LT01"}
    assert row.parameters == wanted
    assert (row.priority, row.labels) == (2, {"a": "b", "c": "d=e"})
    assert row.source["name"] == "x.zip"


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        told = tarfile.TarInfo("a.sql")
        told.size = 9
        file.addfile(told, io.BytesIO(b"SELECT 1\n"))
    return out.getvalue()


def test_kind_without_a_file_is_a_job_by_json(api: Api) -> None:
    task = {"task_name": "shop", "task_type": "custom", "docker_image": "data-collection-x"}
    row = of(api.caller().post(JOBS, json={"kind": "container", "parameters": task}))
    assert (row.kind, row.parameters, row.source) == ("container", task, {"name": "shop"})


def test_upload_larger_than_memory_pieces_is_streamed(api: Api) -> None:
    pieces = [os.urandom(1 << 20) for _ in range(8)]
    headers = {"Content-Type": "application/octet-stream"}
    answer = api.caller().post(f"{JOBS}?kind=sql_lint", content=iter(pieces), headers=headers)
    row = of(answer)
    assert row.source["size_bytes"] == 8 << 20
    assert api.context.blobs.read(row.source["digest"]) == b"".join(pieces)


def test_baseline_rides_in_the_form_and_is_kept_as_long_as_the_job(api: Api) -> None:
    baseline = Baseline.of([]).to_bytes()
    for first in (True, False):
        told = form(LINT, first=first, baseline=("known.json", baseline))
        row = of(api.caller().post(JOBS, **told))
        assert api.context.blobs.read(row.parameters["baseline"]) == baseline
        assert row.source["blobs"] == [row.source["digest"], row.parameters["baseline"]]


# --- Refused, and nothing is left ---------------------------------------------------------------


def refused(**told: Any) -> Any:
    return pytest.param(told, id=" ".join(told.pop("id").split()))


FORMS = [
    refused(id="unknown kind", request={"kind": "nope"}),
    refused(id="unknown key", request={**LINT, "x": 1}),
    refused(id="no json", request="{"),
    refused(id="no object", request="[]"),
    refused(id="nan", request='{"kind": "sql_lint", "priority": NaN}'),
    refused(id="nul", request='{"kind": "sql_lint", "name": "a\\u0000"}'),
    refused(id="nul label", request='{"kind": "sql_lint", "labels": {"a\\u0000": "b"}}'),
    refused(id="priority", request={**LINT, "priority": 10}),
    refused(id="label of a number", request={**LINT, "labels": {"a": 1}}),
    refused(id="deadline", request={**LINT, "deadline_s": 0}),
    refused(id="unknown parameter", request={**LINT, "parameters": {"nope": 1}}),
    refused(id="bad parameter", request={**LINT, "parameters": {"dialect": "a b"}}),
    refused(
        id="baseline that is not there", request={**LINT, "parameters": {"baseline": "0" * 64}}
    ),
    refused(id="baseline that is none", request=LINT, baseline=("b", b"nonsense")),
    refused(id="another file", request=LINT, dialect=("b", b"ansi")),
    refused(id="no such file parameter", request=LINT, nope=("b", b"x")),
    refused(id="plain field", request=LINT, dialect=(None, "ansi")),
    refused(id="empty file", request=LINT, file=("a.zip", b"")),
    refused(id="a kind without a file", request={"kind": "trivial", "parameters": {"tasks": 1}}),
]


@pytest.mark.parametrize("first", [True, False], ids=["request first", "file first"])
@pytest.mark.parametrize("told", FORMS)
def test_refused_form_leaves_nothing(api: Api, told: dict[str, Any], first: bool) -> None:
    answer = api.caller().post(JOBS, **form(first=first, **told))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert (stored(api), jobs.listed(), open_spools()) == ([], [], [])


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&nope=1", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&priority=x", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&label=x", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&name=a%00", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&rules=a%00", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&parameters=1", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint&parameters={", {"Content-Type": "application/zip"}, 422),
        ("?kind=trivial", {"Content-Type": "application/zip"}, 422),
        ("?kind=sql_lint", {"Content-Type": "text/plain"}, 415),
        ("?kind=sql_lint", {}, 415),
        ("?kind=sql_lint", {"Content-Type": "multipart/form-data"}, 422),
        ("?kind=sql_lint", {"Content-Type": "multipart/form-data; boundary=x"}, 422),
        ("", {"Content-Type": "application/json"}, 422),
    ],
)
def test_refused_body_leaves_nothing(
    api: Api, query: str, headers: dict[str, str], status: int
) -> None:
    answer = api.caller().post(f"{JOBS}{query}", content=archive(), headers=headers)
    assert answer.status_code == status, answer.text
    assert (stored(api), jobs.listed()) == ([], [])


def test_lint_job_without_a_file_is_refused(api: Api) -> None:
    answer = api.caller().post(JOBS, json=LINT)
    assert answer.status_code == 422
    assert "needs a file" in answer.json()["detail"]


def test_image_off_the_allow_list_is_refused(api: Api) -> None:
    task = {"task_name": "x", "task_type": "custom", "docker_image": "evil:latest"}
    answer = api.caller().post(JOBS, json={"kind": "container", "parameters": task})
    assert answer.status_code == 422
    assert "allow-list" in answer.json()["detail"]
    assert jobs.listed() == []


@pytest.mark.parametrize("is_told", [True, False], ids=["length", "chunks"])
@pytest.mark.parametrize("way", ["raw", "form"])
def test_upload_past_the_limit_is_refused_while_it_streams(
    served: Callable[..., Api], way: str, is_told: bool
) -> None:
    api = served(max_source_bytes=100_000)
    body, media_type = b"x" * 150_000, "application/zip"
    if way == "form":
        built = httpx.Request("POST", api.url, **form(LINT, file=("a.zip", body)))
        body, media_type = built.read(), built.headers["content-type"]
    content = (
        body if is_told else iter([body[at : at + 50_000] for at in range(0, len(body), 50_000)])
    )
    answer = api.caller().post(
        f"{JOBS}?kind=sql_lint", content=content, headers={"Content-Type": media_type}
    )
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert (stored(api), jobs.listed(), open_spools()) == ([], [], [])


def test_request_field_past_its_limit_is_refused(served: Callable[..., Api]) -> None:
    api = served(api_max_body_bytes=2000)
    big = {**LINT, "labels": {"a": "x" * 3000}}
    for first in (True, False):
        assert api.caller().post(JOBS, **form(big, first=first)).status_code == 413
    assert api.caller().post(JOBS, json=big).status_code == 413
    assert (stored(api), jobs.listed()) == ([], [])


# --- Half-way -----------------------------------------------------------------------------------


def half_way(api: Api, media_type: str, body: bytes, declared: int | None) -> socket.socket:
    """Send a head and a part of the body; return the open connection."""
    token = api.caller().headers["authorization"]
    length = "Transfer-Encoding: chunked" if declared is None else f"Content-Length: {declared}"
    head = (
        f"POST {JOBS}?kind=sql_lint HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        f"Content-Type: {media_type}\r\n{length}\r\n\r\n"
    )
    if declared is None:
        body = b"%x\r\n%s\r\n" % (len(body), body)
    url = httpx.URL(api.url)
    connection = socket.create_connection((url.host, url.port or 80), timeout=10)
    connection.sendall(head.encode() + body)
    return connection


def cut(way: str) -> tuple[str, bytes, int | None]:
    """Return a media type and a body that ends too early, with the length that it claims."""
    body = archive()
    if way == "raw":
        return "application/zip", body, len(body) + 10
    if way == "chunks":
        return "application/zip", body, None
    built = httpx.Request("POST", "http://x", **form(LINT, first=way != "file first"))
    whole = built.read()
    end = whole.rindex(b"--" + built.headers["content-type"].partition("boundary=")[2].encode())
    # The file is there to its last byte; only the form's end, or the field after it, is not.
    return built.headers["content-type"], whole[: end + 2], len(whole)


@pytest.mark.parametrize("way", ["raw", "chunks", "request first", "file first"])
def test_upload_that_stops_half_way_leaves_nothing(api: Api, way: str) -> None:
    with half_way(api, *cut(way)):
        eventually(open_spools, within_s=10, what="the upload is being stored")
    eventually(lambda: not open_spools(), within_s=10, what="the upload is given up")
    eventually(lambda: _answered(api, "400", "408", "422"), within_s=10, what="it is counted")
    assert (stored(api), jobs.listed()) == ([], [])


def _answered(api: Api, *statuses: str) -> bool:
    lines = api.bearer(None).get("/metrics").text.splitlines()
    return any(
        line.startswith("quayline_http_requests_total")
        and f'route="{JOBS}"' in line
        and any(f'status="{each}"' in line for each in statuses)
        for line in lines
    )


def test_form_that_ends_too_early_is_refused(api: Api) -> None:
    media_type, body, _ = cut("file first")
    answer = api.caller().post(JOBS, content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 422
    assert (stored(api), jobs.listed(), open_spools()) == ([], [], [])


def test_upload_that_stands_still_is_let_go(served: Callable[..., Api]) -> None:
    api = served(api_patience_s=0.3)
    with half_way(api, *cut("raw")) as connection:
        answer = connection.makefile("rb").read(64)
    assert answer.startswith(b"HTTP/1.1 408")
    assert (stored(api), jobs.listed(), open_spools()) == ([], [], [])


def test_one_upload_too_many_is_told_to_come_again(served: Callable[..., Api]) -> None:
    api = served(api_uploads=1)
    with half_way(api, *cut("raw")):
        eventually(open_spools, within_s=10, what="the first upload is being stored")
        answer = api.caller().post(JOBS, **form(LINT))
        assert (answer.status_code, answer.json()["reason"]) == (503, "busy")
        assert answer.headers["retry-after"] == "1"
        assert api.caller().get(JOBS).is_success
    eventually(lambda: not open_spools(), within_s=10, what="the first upload is given up")
    of(api.caller().post(JOBS, **form(LINT)))


def test_one_owner_does_not_hold_all_places_of_uploads(served: Callable[..., Api]) -> None:
    api = served(api_uploads=3)
    with half_way(api, *cut("raw")):
        eventually(open_spools, within_s=10, what="the first upload is being stored")
        answer = api.caller().post(JOBS, **form(LINT))
        assert (answer.status_code, answer.json()["reason"]) == (503, "busy")
        of(api.caller(owner="bob").post(JOBS, **form(LINT)))
    eventually(lambda: not open_spools(), within_s=10, what="the first upload is given up")
    of(api.caller().post(JOBS, **form(LINT)))


def test_uploads_at_the_same_time_are_jobs_each(served: Callable[..., Api]) -> None:
    api = served(api_uploads=12)
    answers: list[int] = []

    def submit(number: int) -> None:
        told = {**LINT, "labels": {"n": str(number)}}
        with httpx.Client(base_url=api.url, headers=headers, timeout=30, verify=False) as client:
            answers.append(client.post(JOBS, **form(told)).status_code)

    headers = {"Authorization": api.caller().headers["authorization"]}
    threads = [threading.Thread(target=submit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201] * 6
    assert {row.labels["n"] for row in jobs.listed()} == {str(number) for number in range(6)}
    assert len([name for name in stored(api) if name.startswith("sha256/")]) == 1


# --- Once ---------------------------------------------------------------------------------------


def test_same_key_and_request_is_the_same_job(api: Api) -> None:
    client = api.caller()
    headers = {"Idempotency-Key": "build 17"}
    first, again = (client.post(JOBS, **form(LINT), headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert len(jobs.listed()) == 1


def test_same_key_with_another_request_is_a_conflict(api: Api) -> None:
    client = api.caller()
    headers = {"Idempotency-Key": "k"}
    of(client.post(JOBS, **form(LINT), headers=headers))
    other = {**LINT, "priority": 1}
    answer = client.post(JOBS, **form(other), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (409, "conflict")
    assert len(jobs.listed()) == 1


def test_keys_are_their_owners(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    ids = {
        api.caller(owner=owner).post(JOBS, **form(LINT), headers=headers).json()["id"]
        for owner in ("ann", "bob")
    }
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
def test_key_that_is_none_is_refused(api: Api, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    assert api.caller().post(JOBS, **form(LINT), headers=headers).status_code == 422
    assert jobs.listed() == []


def test_job_of_an_api_that_nobody_hears_is_due_at_once(api: Api) -> None:
    running = serve_in_thread(api.context, "127.0.0.1", 0, heard=False)
    try:
        with httpx.Client(base_url=running.url, headers=dict(api.caller().headers)) as client:
            job_id = uuid.UUID(client.post(JOBS, json={"kind": "trivial"}).json()["id"])
    finally:
        running.close()
    with session():
        assert execute("SELECT hinted_at FROM jobs WHERE id = %s", job_id.hex) == [(None,)]
    assert make.take_messages() == []
