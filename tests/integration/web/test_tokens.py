"""API tokens: random, hashed, of a role, taken until they are revoked or expire."""

import hashlib
import uuid
from typing import Any

import pytest

from pipeline.core import api_tokens
from pipeline.core.api_tokens import Role
from pipeline.core.context import Context
from pipeline.errors import NotFound, Refused
from pipeline.store.database import dialect, execute, session
from pipeline.web import known_tokens
from tests.integration.web.conftest import Api
from tests.support.waiting import eventually

TOKENS = "/api/v1/tokens"
RANKS = ["submitter", "operator", "admin"]


def test_row_keeps_the_digest_and_never_the_token(api: Api) -> None:
    told, secret = api_tokens.create("ann", "submitter", name="ci")
    with session():
        rows = execute("SELECT * FROM api_tokens")
    assert all(secret not in str(row) for row in rows)
    with session():
        [(digest,)] = execute("SELECT digest FROM api_tokens")
    assert digest == hashlib.sha256(secret.encode()).hexdigest()
    assert api_tokens.find(secret) == told
    assert len(secret) > 40


def test_two_tokens_are_never_alike(api: Api) -> None:
    assert len({api_tokens.create("ann", "submitter")[1] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "token", ["", "x", "qlt_", "qlt_x", "qlt_ä".encode(), "qlt_" + "x" * 43, "qlt_" + "x" * 300]
)
def test_token_that_nobody_made_is_refused(api: Api, token: str | bytes) -> None:
    told = token if isinstance(token, bytes) else token.encode()
    answer = api.bearer(None).get(
        "/api/v1/jobs", headers={b"Authorization": b"Bearer%s%s" % (b" " * bool(told), told)}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["reason"] == "unauthenticated"


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_another_scheme_is_refused(api: Api, scheme: str) -> None:
    _, secret = api_tokens.create("ann", "admin")
    headers = {"Authorization": f"{scheme} {secret}".strip()}
    assert api.bearer(None).get("/api/v1/jobs", headers=headers).status_code == 401


def test_expired_token_is_refused(api: Api) -> None:
    told, secret = api_tokens.create("ann", "admin", expires_s=60)
    assert api_tokens.find(secret) == told
    with session():
        execute(f"UPDATE api_tokens SET expires_at = {dialect().later('-1')}")
    assert api_tokens.find(secret) is None
    assert api.bearer(secret).get("/api/v1/jobs").status_code == 401


def test_revoked_token_is_refused_within_five_seconds(api: Api) -> None:
    told, secret = api_tokens.create("ann", "admin")
    client = api.bearer(secret)
    assert client.get("/api/v1/jobs").is_success
    first = api_tokens.revoke(told.id)
    eventually(lambda: client.get("/api/v1/jobs").status_code == 401, within_s=5)
    assert known_tokens.KNOWN_S < 5
    assert api_tokens.revoke(str(told.id)) == first


def test_revoking_what_is_not_there_is_told(api: Api) -> None:
    for told in (uuid.uuid4(), "nonsense"):
        with pytest.raises(NotFound):
            api_tokens.revoke(told)


@pytest.mark.parametrize(
    "told",
    [
        *({"owner": ""}, {"owner": "a\nb"}, {"owner": "x" * 201}, {"name": "\x1b[2J"}),
        *({"role": "root"}, {"expires_s": 0}, {"expires_s": -1}, {"expires_s": 1e12}),
    ],
)
def test_token_that_makes_no_sense_is_refused(context: Context, told: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        api_tokens.create(**{"owner": "ann", "role": "submitter", **told})


def test_roles_are_ranks() -> None:
    allowed = [[str(b) for b in Role if a.may(b)] for a in Role]
    assert allowed == [RANKS[:1], RANKS[:2], RANKS]


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/api/v1/jobs", 0),
        ("GET", "/api/v1/kinds", 0),
        ("GET", "/api/v1/dead-letters", 1),
        ("GET", f"/api/v1/dead-letters/{uuid.UUID(int=1)}", 1),
        ("DELETE", f"/api/v1/dead-letters/{uuid.UUID(int=1)}", 1),
        ("POST", f"/api/v1/dead-letters/{uuid.UUID(int=1)}/replay", 1),
        ("POST", "/api/v1/dead-letters/purge", 1),
        ("GET", TOKENS, 2),
        ("POST", TOKENS, 2),
        ("POST", f"{TOKENS}/{uuid.UUID(int=1)}/revoke", 2),
    ],
)
def test_route_is_for_its_role_and_those_above(
    api: Api, method: str, path: str, least: int
) -> None:
    body: dict[str, Any] = {"json": {"ids": [str(uuid.UUID(int=1))]}} if "purge" in path else {}
    answers = [api.caller(role).request(method, path, **body).status_code for role in RANKS]
    assert [status == 403 for status in answers] == [rank < least for rank in range(3)]
    assert api.bearer(None).request(method, path, **body).status_code == 401


def test_admin_makes_lists_and_revokes_tokens(api: Api) -> None:
    admin = api.caller("admin", "root")
    wanted = {"owner": "bob", "role": "operator", "name": "ci", "expires_s": 3600}
    made = admin.post(TOKENS, json=wanted).raise_for_status().json()
    assert api.bearer(made["token"]).get("/api/v1/dead-letters").is_success
    listed = admin.get(TOKENS).json()
    assert listed[0] == made["told"]
    assert made["token"] not in str(listed)
    path = f"{TOKENS}/{made['told']['id']}/revoke"
    first, again = admin.post(path).json(), admin.post(path).json()
    assert first == again
    assert first["revoked_at"] is not None


@pytest.mark.parametrize(
    "wanted",
    [
        *({}, {"owner": ""}, {"owner": "a\nb"}, {"owner": "ann", "role": "root"}, []),
        *({"owner": "ann", "expires_s": 0}, {"owner": "ann", "x": 1}, {"owner": "a\0"}),
    ],
)
def test_token_that_is_asked_for_badly_is_refused(api: Api, wanted: Any) -> None:
    admin = api.caller("admin", "root")
    before = len(api_tokens.listed())
    assert admin.post(TOKENS, json=wanted).status_code == 422
    assert len(api_tokens.listed()) == before
