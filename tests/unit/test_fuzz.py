"""Our own parsers on input that nobody meant: a typed refusal or an answer, never a traceback.

``FUZZ_EXAMPLES=20000 pytest tests/unit/test_fuzz.py`` goes further than CI has time for.
"""

import json
import os
from typing import Any

import dramatiq
import pytest
from dramatiq.common import current_millis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.adapters.sqlfluff.config import ConfigTree
from pipeline.adapters.sqlfluff.inline import scan
from pipeline.core.jobs import Submission
from pipeline.errors import Refused
from pipeline.kinds.sql_lint.gate import Baseline
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.messages import Defect, decoded, defect

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))

fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

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
    "args": ["id"],
    "kwargs": {},
    "options": {"form": 1},
    "message_id": "m",
    "message_timestamp": current_millis(),
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
    found = defect(told, "monitoring")
    assert found is None or isinstance(found, Defect)
    if found is None:
        assert isinstance(told, dramatiq.Message)
        assert told.queue_name == "monitoring"
        assert set(told.options) <= {"form"}


def test_good_message_has_no_defect() -> None:
    assert defect(decoded(json.dumps(GOOD).encode()), "monitoring") is None


@pytest.mark.parametrize("whole", [CONFIG, TOML])
def test_good_configuration_has_no_problem(whole: bytes) -> None:
    name = ".sqlfluff" if whole is CONFIG else "pyproject.toml"
    assert ConfigTree({name: whole}).effective("x.sql").problem is None
