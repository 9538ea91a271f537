"""A model's endpoint, asked over real HTTP: its answers, its faults, and who stops."""

import asyncio
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.models import (
    ModelAway,
    ModelBusy,
    Profile,
    Question,
    Reply,
    Stopped,
    ask,
    chat,
)
from pipeline.adapters.models.errors import KeyRefused, QuestionRefused
from pipeline.errors import Permanent, QuaylineError
from tests.support.certificates import make_certificates
from tests.support.model_server import (
    Cut,
    Fault,
    ModelServer,
    Nonsense,
    Silent,
    Status,
    model_server,
)
from tests.support.waiting import eventually

KEY = "sk-secret-1234567890"
HELLO = [{"role": "user", "content": "Hello, 世界 😀"}]


class Call:
    """One question, and what was told of it."""

    def __init__(self, server: ModelServer, **told: Any) -> None:
        self.profile = Profile(**{"base_url": server.url, "key": KEY, "model": "small", **told})
        self.heard: list[str] = []
        self.counted: list[tuple[str, int, int]] = []
        self.stop_at: float | None = None

    def ask(self, **told: Any) -> Reply:
        question = Question(**{"messages": HELLO, **told})
        return asyncio.run(
            ask(
                *(self.profile, "mine", question),
                heard=self.heard.append,
                counted=lambda *told: self.counted.append(told),
                stopped=self._stopped,
            )
        )

    def _stopped(self) -> bool:
        return self.stop_at is not None and time.monotonic() >= self.stop_at

    def fails(self, **told: Any) -> QuaylineError:
        with pytest.raises(QuaylineError) as caught:
            self.ask(**told)
        assert KEY not in str(caught.value)
        return caught.value


def test_answer_comes_in_pieces_with_its_tokens(server: ModelServer) -> None:
    call = Call(server)
    reply = call.ask(temperature=0.5, max_tokens=99)
    assert reply.text == "You said: Hello, 世界 😀" == "".join(call.heard)
    assert len(call.heard) > 2
    assert reply.finish_reason == "stop"
    assert call.counted == [("small", 11, len(call.heard))]
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body["messages"] == HELLO
    assert (asked.body["temperature"], asked.body["max_tokens"]) == (0.5, 99)
    assert asked.body["stream_options"] == {"include_usage": True}


def test_profile_says_key_headers_and_names(server: ModelServer, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    told = {"key_file": path, "headers": {"X-Team": "ours"}, "json_format": "json_schema"}
    call = Call(server, **told, max_tokens_name="max_completion_tokens")
    call.ask(model="large", max_tokens=5, schema={"type": "object"})
    path.write_text("second\n")
    call.ask()
    first, second = server.asked
    assert first.headers["authorization"] == "Bearer first"
    assert second.headers["authorization"] == "Bearer second"
    assert first.headers["x-team"] == "ours"
    assert (first.body["model"], second.body["model"]) == ("large", "small")
    assert first.body["max_completion_tokens"] == 5
    wanted = {"name": "answer", "schema": {"type": "object"}}
    assert first.body["response_format"] == {"type": "json_schema", "json_schema": wanted}


def test_endpoint_without_a_key_is_sent_none(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    Call(server, key="").ask()
    assert "authorization" not in server.asked[0].headers
    assert "openai-organization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("fault", "kind", "after_s", "words"),
    [
        (Status(429, "Slow down.", "7"), ModelBusy, 7.0, r"busy \(429\): Slow down\."),
        (Status(429, "Slow down."), ModelBusy, None, "Slow down"),
        (Status(503, "Full.", "2"), ModelBusy, 2.0, "busy"),
        (Status(503, "Full."), ModelAway, None, "failed"),
        (Status(500, "Oops."), ModelAway, None, r"failed \(500\): Oops"),
        (Status(400, f"Not {KEY} so."), QuestionRefused, None, r"refuses this \(400\): Not \*\*\*"),
        (Status(404, "No such model."), QuestionRefused, None, "No such model"),
        (Status(422, "a\nb\x1b"), QuestionRefused, None, "a b$"),
        (Status(403, "No."), KeyRefused, None, "mine does not take its profile's key"),
        (Status(429, "x", "1", "insufficient_quota"), KeyRefused, None, "no quota left"),
        (Cut(), ModelAway, None, "connection to the endpoint mine failed"),
        (Cut(in_order=True), ModelAway, None, "broke off in its answer"),
        (Nonsense(), ModelAway, None, "an answer that is none"),
        (Nonsense('data: {"choices": [3]}\n\n'), ModelAway, None, "an answer that is none"),
        (Nonsense('data: {"error": {"message": "Overloaded"}}\n\n'), ModelAway, None, "Overloaded"),
    ],
)
def test_fault_is_told_by_what_can_be_done_about_it(
    server: ModelServer, fault: Fault, kind: type[Exception], after_s: float | None, words: str
) -> None:
    server.fails(fault)
    call = Call(server)
    error = call.fails()
    assert type(error) is kind
    assert getattr(error, "after_s", None) == after_s
    assert re.search(words, error.message), error.message
    assert len(server.asked) == 1
    assert call.ask().finish_reason == "stop"


def test_key_that_is_not_taken_is_not_repeated(server: ModelServer) -> None:
    server.keys = {"another"}
    error = Call(server).fails()
    assert error.message == "The endpoint mine does not take its profile's key (401)."


def test_tokens_of_an_answer_that_was_cut_are_counted(server: ModelServer) -> None:
    server.fails(Cut(after=2, usage=True), Cut(after=1), Status(500))
    call = Call(server)
    for _ in range(3):
        call.fails()
    assert [tokens[1:] for tokens in call.counted] == [(11, 3), (0, 0)]


@pytest.mark.parametrize("after", [0, 1])
def test_endpoint_that_is_silent_may_be_asked_again(server: ModelServer, after: int) -> None:
    server.fails(Silent(after=after))
    began = time.monotonic()
    assert isinstance(Call(server, timeout_s=0.3).fails(), ModelAway)
    assert time.monotonic() - began < 5


def test_endpoint_that_is_away_may_be_asked_again(server: ModelServer) -> None:
    error = Call(server, base_url=f"http://127.0.0.1:{closed_port()}/v1").fails()
    assert type(error) is ModelAway
    assert error.message == "The connection to the endpoint mine failed."


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("after", [0, 3])
def test_call_that_is_told_to_stop_ends_within_a_second_and_lets_go(
    server: ModelServer, after: int
) -> None:
    server.fails(Silent(after=after))
    call = Call(server)
    call.stop_at = time.monotonic() + 0.5
    error = call.fails()
    assert isinstance(error, Stopped)
    assert time.monotonic() - call.stop_at < 1
    assert len(call.heard) == after
    assert len(call.counted) == (1 if after else 0)
    eventually(lambda: server.left == 1, within_s=5)


def test_model_must_be_named_and_allowed(server: ModelServer) -> None:
    call = Call(server, model="", models=["gpt-*"])
    assert "has no model of its own" in call.fails().message
    assert "does not allow the model 'o1'" in call.fails(model="o1").message
    assert call.ask(model="gpt-9").model == "gpt-9"


def test_missing_key_file_is_told(server: ModelServer, tmp_path: Path) -> None:
    error = Call(server, key_file=tmp_path / "none").fails()
    assert isinstance(error, Permanent)
    assert error.message == "The key file of the profile mine cannot be read."


def test_endpoint_is_asked_over_tls_by_whose_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_certificates(tmp_path)
    with model_server(certificates=made.server) as server:
        chat._trusted.cache_clear()
        assert type(Call(server).fails()) is ModelAway
        assert server.asked == []
        chat._trusted.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(made.server / "ca.pem"))
        assert Call(server).ask().finish_reason == "stop"
    chat._trusted.cache_clear()


@pytest.mark.parametrize("key", ["clé", "two\nlines"])
def test_key_that_can_be_none_is_not_sent(server: ModelServer, key: str) -> None:
    error = Call(server, key=key).fails()
    assert error.message == "The key of the profile mine has characters that no key has."
    assert server.asked == []


def test_token_of_google_is_got_by_its_default_credentials(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.adapters.models import keys

    path = tmp_path / "account.json"
    path.write_text(json.dumps(account(server.url.replace("/v1", "/token"))))
    monkeypatch.setattr(keys, "_credentials", None)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    Call(server, key="", auth="google").ask()
    assert server.asked[0].headers["authorization"] == "Bearer token-of-google"
    monkeypatch.setattr(keys, "_credentials", None)
    path.write_text("{}")
    assert "Google" in Call(server, auth="google").fails().message


def account(token_uri: str) -> dict[str, str]:
    """Return a service account of Google, with a key that was made now."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "robot@project.example",
        "token_uri": token_uri,
    }
