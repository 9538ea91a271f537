"""Our own parsers on input that nobody meant: a typed refusal or an answer, never a traceback.

``FUZZ_EXAMPLES=20000 pytest tests/unit/test_fuzz.py`` goes further than CI has time for.
"""

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import current_millis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import broker
from pipeline.adapters.sqlfluff.config import ConfigTree
from pipeline.adapters.sqlfluff.inline import scan
from pipeline.core import jobs
from pipeline.core.context import close_context, open_context
from pipeline.core.jobs import Submission
from pipeline.core.sweep import sweep
from pipeline.errors import QuaylineError, Refused
from pipeline.kinds.sql_lint.gate import Baseline
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.messages import Defect, decoded, defect
from pipeline.settings import Settings, get_settings
from pipeline.signatures import JobId
from tests.support.servers import drop_broken_connections

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))

fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
#: Where an example commits to a database or opens sockets.
dear_fuzz = settings(fuzz, max_examples=max(1, EXAMPLES // 5))

#: Numbers, texts and nestings that JSON can carry, the odd ones among them.
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["\0", "\ud800", "1e999", "-1", "../x", "sql_lint", "a" * 5000]),
)
anything = st.recursive(
    odd, lambda each: st.lists(each) | st.dictionaries(st.text(max_size=9), each), max_leaves=9
)

CONFIG = (
    b"[sqlfluff]\ndialect = postgres\nrules = LT01,CP01\nmax_line_length = 80\n"
    b"[sqlfluff:rules:capitalisation.keywords]\ncapitalisation_policy = upper\n"
    b"[sqlfluff:templater:jinja:context]\nname = value\n"
)
TOML = b"[tool.sqlfluff.core]\ndialect = 'ansi'\n[tool.sqlfluff.rules]\ntab_space_size = 4\n"
IGNORE = b"*.tmp\n!keep.tmp\n/build/**/x[a-z].sql\n# note\n"
BASELINE = Baseline.from_bytes(
    json.dumps(
        {
            "version": 1,
            "tool": "quayline",
            "violations": {f"{n:032x}": {"count": 1, "path": "a", "code": "LT01"} for n in (1, 2)},
        }
    ).encode()
).to_bytes()


def bent(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes that began as these: spliced, cut, doubled, with other bytes put in."""
    places = st.integers(0, len(whole))
    return st.one_of(
        st.binary(),
        st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.tuples(places, st.binary(max_size=20), places).map(
            lambda told: whole[: told[0]] + told[1] + whole[told[2] :]
        ),
        st.permutations(whole.splitlines(keepends=True)).map(b"".join),
    )


@fuzz
@given(bent(BASELINE) | anything.map(lambda each: json.dumps(each).encode()))
@example(b'{"version": 1, "violations": ' + b"[" * 100_000)
@example(b'{"version": 1, "violations": {"' + b"0" * 32 + b'": {"count": 1e999}}}')
@example(b'{"version": ' + b"9" * 5000 + b"}")
def test_baseline_is_read_or_refused(data: bytes) -> None:
    try:
        read = Baseline.from_bytes(data)
    except Refused:
        return
    assert Baseline.from_bytes(read.to_bytes()).entries == read.entries


@fuzz
@given(
    st.dictionaries(
        st.sampled_from(
            [".sqlfluff", "a/.sqlfluff", "setup.cfg", "tox.ini", "pep8.ini", "a/b/pyproject.toml"]
        ),
        bent(CONFIG) | bent(TOML),
    ),
    bent(IGNORE),
    bent(CONFIG),
)
@example({".sqlfluff": b"[sqlfluff]\n" + b"x:" * 20_000 + b"y = 1\n"}, b"", b"")
@example({"pyproject.toml": b"[tool.sqlfluff]\na = " + b"[" * 20_000}, b"*" * 5000, b"")
def test_configuration_of_an_archive_never_raises(
    files: dict[str, bytes], ignored: bytes, extra: bytes
) -> None:
    tree = ConfigTree({**files, ".sqlfluffignore": ignored}, extra=("mine.cfg", extra))
    for path in ("x.sql", "a/x.sql", "a/b/x.tmp"):
        effective = tree.effective(path)
        assert effective.problem is not None or effective.digest
        assert tree.ignores(path) in (True, False)
    for refused in tree.refused:
        assert str(refused)


@fuzz
@given(st.text() | bent(b"-- sqlfluff:rules:LT01:a:b\n").map(lambda raw: raw.decode("latin-1")))
def test_inline_lines_are_judged(text: str) -> None:
    found = scan(text)
    assert len(found.honoured) <= text.count("sqlfluff")


@fuzz
@given(
    anything
    | st.dictionaries(st.sampled_from(sorted(LintParameters.model_fields)), anything)
    | st.dictionaries(st.text(), odd)
)
def test_parameters_are_taken_or_refused(told: Any) -> None:
    try:
        taken = LintParameters.model_validate(told)
    except ValidationError:
        return
    json.dumps(taken.model_dump(mode="json"))
    assert Submission("sql_lint", taken.model_dump(mode="json")).digest()


GOOD: dict[str, Any] = {
    "queue_name": "monitoring",
    "actor_name": "finish_job",
    "args": [str(uuid.UUID(int=7))],
    "kwargs": {},
    "options": {"form": 1},
    "message_id": "m",
    "message_timestamp": current_millis(),
}


def finish_job(job_id: JobId) -> None:
    assert str(uuid.UUID(job_id)) == job_id


TAKERS = {
    "finish_job": dramatiq.Actor(
        finish_job,
        broker=StubBroker(middleware=[]),
        actor_name="finish_job",
        queue_name="monitoring",
        priority=0,
        options={},
    )
}


@fuzz
@given(
    bent(json.dumps(GOOD).encode())
    | anything.map(lambda each: json.dumps(each).encode())
    | st.dictionaries(st.sampled_from(sorted(GOOD)), anything).map(
        lambda told: json.dumps({**GOOD, **told}).encode()
    )
)
def test_message_is_ours_or_has_a_defect(body: bytes) -> None:
    told = decoded(body)
    found = defect(told, "monitoring", TAKERS)
    assert found is None or isinstance(found, Defect)
    if found is None:
        assert isinstance(told, dramatiq.Message)
        assert told.queue_name == "monitoring"
        assert set(told.options) <= {"form"}
        if told.actor_name in TAKERS:
            TAKERS[told.actor_name](*told.args, **told.kwargs)


#: What an environment can hold as a value, bytes that are no UTF-8 among it; no NUL, and no slash:
#: no folder is made outside the test's own.
word = (
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
).map(lambda raw: os.fsdecode(raw.translate(None, b"\0/~")))
number = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["1e308", "1e400", "9" * 5000, "0x1", "1,5", "١", " 7 ", "1e-300", "true"]),
)
PASSWORD = "hunter2"


def urls(*schemes: str) -> st.SearchStrategy[str]:
    """Return addresses on this machine, of nobody, and what only looks like one."""
    query = st.dictionaries(
        st.sampled_from(
            ["heartbeat", "socket_timeout", "ssl_options", "connect_timeout", "sslmode", "size"]
        )
        | st.text("abc%&=", max_size=5),
        st.sampled_from(["", "0", "1", "-1", "x", "1e999", "{", "[" * 500, "%zz", "{'a': 1}"]),
        max_size=2,
    ).map(lambda told: "&".join(f"{name}={each}" for name, each in told.items()))
    return st.builds(
        "{}{}{}{}{}{}".format,
        st.sampled_from(schemes),
        st.sampled_from(["", "://", ":", ":///", "::", "://"]),
        st.sampled_from(["", f"u:{PASSWORD}@", f"u:{PASSWORD}%zz@", f"u:{PASSWORD}/@", "@"]),
        st.sampled_from(["127.0.0.1:1", "[::1", "127.0.0.1:x", "127.0.0.1:99999", "[]:1"]),
        st.sampled_from(["", "/", "/x", "/%00", "/%zz"]),
        query.map(lambda told: f"?{told}" if told else ""),
    )


variables = st.one_of(
    st.tuples(st.sampled_from(sorted(Settings.model_fields)), word | number),
    st.tuples(st.just("broker_url"), urls("amqp", "amqps", "AMQP", "memory", "http", "")),
    st.tuples(st.just("database_url"), urls("postgresql", "postgres", "mysql", "")),
    st.tuples(
        st.just("database_url"),
        st.sampled_from(["sqlite:///", "sqlite:", "sqlite:////proc/x/y", "sqlite:///:memory:", "x"])
        | word.map(lambda each: f"sqlite:///{each}"),
    ),
    st.tuples(st.just("storage_url"), urls("nosuch", "zip", "data", "reference", "cached", "http")),
    st.tuples(
        st.just("storage_url"),
        st.sampled_from(["zip://a::b", "::", "~nobody-of-that-name/x", "/dev/null/x", "/proc/x"]),
    ),
    st.tuples(
        st.just("state_dir"), st.sampled_from(["~nobody-of-that-name", "/dev/null/x", "a" * 5000])
    ),
)


def used() -> str:
    """Do what a process does first with its settings; return the sentence in which that ended."""
    try:
        context = open_context(get_settings())
        broker.send([broker.message("monitoring", "sweep")])
        context.blobs.put(b"content")
        jobs.submit(Submission("sql_lint", {}))
        sweep(context)
    except QuaylineError as error:
        return error.message
    finally:
        close_context()
    return "Well."


@dear_fuzz
@given(st.lists(variables, min_size=1, max_size=3).map(dict))
@example({"database_timeout_s": "inf"})
@example({"broker_url": "amqp://u:hunter2@127.0.0.1:port/"})
@example({"broker_url": "amqp://127.0.0.1:1/?heartbeat=5&blocked_connection_timeout=7"})
@example({"database_url": "postgresql://u:hunter2%zz@127.0.0.1:1/x?nonsense=1"})
@example({"storage_url": "reference://"})
@example({"threads": "1" + "0" * 30, "window": "1" + "0" * 30})
def test_settings_are_used_or_refused_in_one_sentence(tmp_path: Path, told: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("QUAYLINE_")]:
            patch.delenv(name)
        patch.chdir(tmp_path)
        patch.setenv("QUAYLINE_STATE_DIR", str(tmp_path / "state"))
        for name, value in told.items():
            patch.setenv(f"QUAYLINE_{name.upper()}", value)
        get_settings.cache_clear()
        began = time.monotonic()
        sentence = used()
        get_settings.cache_clear()
        drop_broken_connections()
        assert time.monotonic() - began < 20
        assert len(sentence.splitlines()) == 1
        assert PASSWORD not in sentence


def test_good_message_has_no_defect() -> None:
    assert defect(decoded(json.dumps(GOOD).encode()), "monitoring", TAKERS) is None


@pytest.mark.parametrize("whole", [CONFIG, TOML])
def test_good_configuration_has_no_problem(whole: bytes) -> None:
    name = ".sqlfluff" if whole is CONFIG else "pyproject.toml"
    assert ConfigTree({name: whole}).effective("x.sql").problem is None
