"""Rules, their own tests, their pages, and the dashboard: what can be said without a deployment."""

import json
import re
from itertools import pairwise

import pytest

from tests.support.prometheus import DEPLOY, promtool
from tests.support.workers import ROOT

RULES = DEPLOY / "rules" / "quayline.yml"
TESTS = DEPLOY / "tests" / "quayline.yml"
PAGES = {page.stem: page for page in (ROOT / "deploy" / "runbook").glob("Quayline*.rst")}
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "quayline.json"

ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", str(DEPLOY / "prometheus.yml")),
        ("check", "rules", str(RULES)),
        ("test", "rules", str(TESTS)),
    ],
    ids=" ".join,
)
def test_promtool_is_content(check: tuple[str, ...]) -> None:
    code, said = promtool(*check)
    assert code == 0, said
    assert "SUCCESS" in said


def test_promtool_notices_a_rule_that_changed(tmp_path) -> None:
    changed = RULES.read_text().replace("> 900", "> 9000")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "quayline.yml").write_text(changed)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "quayline.yml").write_text(TESTS.read_text())
    code, said = promtool("test", "rules", str(tmp_path / "tests" / "quayline.yml"))
    assert code == 1
    assert "QuaylineQueueNotDrained" in said


def test_every_alert_is_seen_firing_by_a_test() -> None:
    told = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", TESTS.read_text())
    assert sorted(set(told)) == sorted(ALERTS)


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert len(ALERTS) == len(set(ALERTS)) > 10
    assert sorted(PAGES) == sorted(ALERTS)
    named = re.findall(r"runbook: deploy/runbook/(\w+)\.rst", RULES.read_text())
    assert named == ALERTS


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_says_what_it_means_how_to_look_and_what_to_do(name: str) -> None:
    lines = PAGES[name].read_text().splitlines()
    titles = [above for above, below in pairwise(lines) if below and set(below) == {"="}]
    wanted = [name, "What it means", "How to look", "What to do"]
    assert [title for title in titles if title and set(title) != {"="}] == wanted
    assert len(lines) < 60
    for other in re.findall(r"<(\w+)\.rst>`_", PAGES[name].read_text()):
        assert other in PAGES


def test_dashboard_is_whole() -> None:
    told = json.loads(DASHBOARD.read_text())
    panels = told["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] for panel in panels)
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) == 23
