"""Documents from templates, friendly and hostile ones."""

import subprocess
import sys
import threading
import time
from typing import Any

import psutil
import pytest

from pipeline.adapters.jinja import rendering
from pipeline.kinds.service.builtin.render import MOST_CHARACTERS
from tests.support.built_in import call, error, result
from tests.support.waiting import eventually


def rendered(template: str, values: dict[str, Any] | None = None, **more: Any) -> str:
    told = {"template": template, "values": values or {}, **more}
    return str(result("document/render", "render", told)["text"])


def refused(template: str, values: dict[str, Any] | None = None) -> str:
    return error("document/render", "render", {"template": template, "values": values or {}})


def test_values_are_put_in() -> None:
    template = "# {{ title }}\n{% for row in rows %}* {{ row.name }}: {{ row.n + 1 }}\n{% endfor %}"
    rows = [{"name": "数据 😀", "n": 1}, {"name": "b", "n": 2}]
    wanted = "# 报告\n* 数据 😀: 2\n* b: 3\n"
    assert rendered(template, {"title": "报告", "rows": rows}) == wanted


def test_values_are_escaped_in_html_only() -> None:
    values = {"a": "<script>"}
    assert rendered("<p>{{ a }}</p>", values, format="html") == "<p>&lt;script&gt;</p>"
    assert rendered("{{ a }}", values) == "<script>"


def test_empty_template_is_an_empty_document() -> None:
    assert rendered("") == ""


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ ''.__class__ }}", "SecurityError: access to attribute '__class__'"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "SecurityError"),
        ("{{ '{0.__class__}'.format(1) }}", "SecurityError"),
        ("{{ a.append(1) }}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% import 'os' as os %}", "no loader"),
        ("{{ 'a' * 10**9 }}", "The template takes too much memory."),
        ("{{ 'a' * 2000000 }}", "more than 1000000 characters"),
        ("{% for i in range(10**9) %}x{% endfor %}", "Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "takes too much memory"),
        ("one\n{{ missing }}", "fails in line 2: UndefinedError: 'missing' is undefined"),
        ("one\ntwo {% if %}", "fails in line 2: TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "fails in line 1: ZeroDivisionError"),
        ("{{ 'a' + 1 }}", "TypeError"),
        ("{{ a.b.c }}", "UndefinedError"),
    ],
)
def test_hostile_or_broken_template_costs_itself(template: str, told: str) -> None:
    assert told in refused(template, {"a": []})


def test_document_may_be_as_long_as_is_said() -> None:
    assert len(rendered(f"{{{{ 'a' * {MOST_CHARACTERS} }}}}")) == MOST_CHARACTERS


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize("template", [ENDLESS, "{{ 9 ** (9 ** 9) }}"])
def test_endless_template_is_ended(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LIMIT_S", 1.0)
    began = time.monotonic()
    assert "took more than 1 s" in refused(template)
    assert time.monotonic() - began < 5


def test_stopped_call_ends_its_template() -> None:
    began = time.monotonic()
    answer = call("document/render", "render", {"template": ENDLESS}, stopped=True)
    assert answer.message == "The call was stopped."
    assert time.monotonic() - began < 3


def test_template_sees_nothing_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://secret")
    monkeypatch.setattr(rendering, "LIMIT_S", 3.0)
    rendering_it = threading.Thread(target=refused, args=(ENDLESS,))
    rendering_it.start()
    child = eventually(lambda: child_that_renders(psutil.Process()), within_s=3)
    assert child is not None
    assert sorted(child.environ()) == ["PYTHONPATH", "PYTHONUTF8"]
    rendering_it.join()
    assert not child.is_running()


def test_process_of_a_killed_worker_does_not_go_on() -> None:
    told = f"import tests.unit.kinds.service.builtin.test_render as t; t.refused({ENDLESS!r})"
    with subprocess.Popen([sys.executable, "-c", told]) as worker:
        child = eventually(lambda: child_that_renders(psutil.Process(worker.pid)), within_s=20)
        worker.kill()
    assert child is not None
    assert psutil.wait_procs([child], timeout=5)[1] == []


def child_that_renders(parent: psutil.Process) -> psutil.Process | None:
    for child in parent.children():
        # Between its fork and its start it is a copy of this process.
        if rendering.MODULE in child.cmdline():
            return child
    return None
