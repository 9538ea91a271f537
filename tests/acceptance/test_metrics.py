"""A real Prometheus reads a real deployment: worker, scheduler, API."""

import inspect
import json
import os
import re
import signal
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import psutil
import pytest
from dramatiq.middleware import prometheus as dramatiq_figures

from pipeline import Client, metrics
from pipeline.core.row_figures import FIGURES
from pipeline.exposition import _all_fleets
from pipeline.kinds.service import collectors as services
from pipeline.settings import Settings
from tests.support.faults import QUEUES
from tests.support.prometheus import DEPLOY, Prometheus, prometheus, promtool
from tests.support.servers import Rabbit, free_port
from tests.support.services import own_database
from tests.support.waiting import eventually
from tests.support.workers import ROOT, Process, environment, running, scheduler

pytestmark = pytest.mark.timeout(180)

SHOP = ROOT / "tests" / "samples" / "shop"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "quayline.json"
RULES = DEPLOY / "rules" / "quayline.yml"

#: What promtool finds in Dramatiq's own figures, and nothing else.
NOT_OURS = "dramatiq_message_duration_milliseconds "


@dataclass
class Deployment:
    """What runs, and where each part tells its figures."""

    client: Client
    worker: Process
    prometheus: Prometheus
    addresses: dict[str, str]

    def exposition(self, name: str) -> str:
        """Return the figures of a part as it tells them."""
        return httpx.get(f"http://{self.addresses[name]}/metrics", timeout=10).text


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, rabbit_node: Rabbit
) -> Iterator[Deployment]:
    """Two worker processes, a scheduler and an API on their own servers, and Prometheus."""
    folder = tmp_path_factory.mktemp("metrics")
    rabbit_node.delete_queues(QUEUES)
    ports = {name: free_port() for name in ("worker", "scheduler", "api")}
    addresses = {f"quayline-{name}": f"127.0.0.1:{port}" for name, port in ports.items()}
    with own_database() as database:
        settings = Settings(
            state_dir=folder / "state",
            database_url=database,
            broker_url=rabbit_node.url,
            sweep_s=0.5,
            metrics_port=ports["scheduler"],
            worker_metrics_port=ports["worker"],
            api_port=ports["api"],
        )
        env = environment(settings)
        quayline = [sys.executable, "-m", "pipeline.cli"]
        worker = Process("worker", [*quayline, "worker", "-p", "2", "-t", "2"], env, folder)
        api = Process("api", [*quayline, "api"], env, folder)
        # This process reads no figures: it only submits.
        plain = settings.model_copy(update={"worker_metrics_port": 0, "metrics_port": 0})
        with (
            Client(plain) as client,
            running(worker, scheduler(env, folder), api),
            prometheus(folder, addresses) as server,
        ):
            yield Deployment(client, worker, server, addresses)


@pytest.fixture(scope="module")
def files(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The number of files of the shop, which was linted twice."""
    path = tmp_path_factory.mktemp("archive") / "shop.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(SHOP.rglob("*")):
            archive.write(each, each.relative_to(SHOP))
    for _ in range(2):
        job = deployment.client.lint(path, dialect="postgres").wait(timeout_s=90)
    return job.progress().total


def test_all_three_targets_are_up(deployment: Deployment) -> None:
    for job in deployment.addresses:
        deployment.prometheus.until(f'up{{job="{job}"}}', 1)


def test_figures_are_those_of_the_work(deployment: Deployment, files: int) -> None:
    asked = deployment.prometheus
    ended = 'sum(quayline_tasks_ended_total{kind="sql_lint",state="succeeded"%s})'
    asked.until(ended % "", 2 * files)
    asked.until(ended % ',reason="reused"', files)
    asked.until('sum(quayline_cache_hits_total{kind="sql_lint"})', files)
    asked.until('sum(quayline_lint_files_total{outcome="linted"})', files)
    asked.until("sum(quayline_lint_seconds_count)", files)
    asked.until('sum(quayline_task_run_seconds_count{kind="sql_lint"})', files)
    asked.until('sum(quayline_task_run_seconds_bucket{le="+Inf"})', files)
    asked.until('sum(quayline_jobs_ended_total{kind="sql_lint",state="succeeded"})', 2)
    asked.until('quayline_jobs{kind="sql_lint",state="succeeded"}', 2)
    asked.until('quayline_tasks{kind="sql_lint",state="succeeded"}', 2 * files)
    asked.until('sum(quayline_tasks{state=~"pending|running"})', 0)
    asked.until("max(quayline_oldest_due_seconds)", 0)
    asked.until("min(quayline_collector_up)", 1)
    asked.until("sum(quayline_worker_processes)", 2)
    asked.until("sum(dramatiq_messages_inprogress)", 0)
    assert asked.value('sum(quayline_queue_wait_seconds_count{queue="sql_analysis"})')
    assert asked.value('sum(dramatiq_messages_total{queue_name="sql_analysis"})')
    assert asked.value('sum(quayline_swept_total{what="batches_sent"})') is not None
    assert asked.value('quayline_tick_seconds_count{entry="sweep"}')


def test_no_figure_has_an_id(deployment: Deployment, files: int) -> None:
    assert files
    for name in deployment.addresses:
        labels = set(re.findall('="([^"]*)"', deployment.exposition(name)))
        assert len(labels) > 5
        assert not [each for each in labels if re.search("[0-9a-f]{8}", each)]


def test_promtool_finds_no_fault_in_any_exposition(deployment: Deployment, files: int) -> None:
    assert files
    for name in deployment.addresses:
        _, said = promtool("check", "metrics", told=deployment.exposition(name))
        ours = [line for line in said.splitlines() if line and not line.startswith(NOT_OURS)]
        assert not ours, name


def names_told(deployment: Deployment) -> set[str]:
    """Return the names of all series that the deployment tells, or will when there are any."""
    found: set[str] = set()
    for name in deployment.addresses:
        for figure, kind in re.findall(r"^# TYPE (\w+) (\w+)$", deployment.exposition(name), re.M):
            ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            found.update(figure + end for end in ends)
    return found


def declared() -> set[str]:
    """Return the names of the figures that are there once something happens."""
    found = {figure.name for figure in (*FIGURES, *services.FIGURES)}
    found.update(re.findall('"(dramatiq_[a-z_]+)"', inspect.getsource(dramatiq_figures)))
    for each in metrics.Figure.declared:
        ends = {metrics.Counter: ("_total",), metrics.Histogram: ("_bucket", "_sum", "_count")}
        found.update(each.name + end for end in ends.get(type(each), ("",)))
    return found


def names_asked(expression: str) -> set[str]:
    """Return the names of the metrics that an expression asks for."""
    return set(re.findall(r"\b(?:quayline|dramatiq|process)_[a-z_]+", expression))


def test_every_query_of_the_dashboard_works_and_names_what_there_is(
    deployment: Deployment, files: int
) -> None:
    assert files
    told = json.loads(DASHBOARD.read_text())
    there = names_told(deployment) | declared()
    queries = [target["expr"] for panel in told["panels"] for target in panel.get("targets", [])]
    queries += [
        each["query"].partition("(")[2].rpartition(",")[0]
        for each in told["templating"]["list"]
        if each["type"] == "query"
    ]
    assert len(queries) > 20
    for query in queries:
        expression = query.replace("$__rate_interval", "1m").replace("$kind", ".*")
        assert "$" not in expression
        deployment.prometheus.query(expression)
        assert names_asked(expression) <= there, query


def test_every_rule_is_loaded_and_names_what_there_is(deployment: Deployment) -> None:
    groups = deployment.prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    there = names_told(deployment) | declared()
    assert {rule["name"] for rule in rules} == set(re.findall(r"alert: (\w+)", RULES.read_text()))
    for rule in rules:
        assert rule["health"] != "err", rule
        assert names_asked(rule["query"]) <= there, rule["name"]
    # Nothing is wrong with this deployment.
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_killed_worker_process_is_replaced_in_the_figures(
    deployment: Deployment, files: int
) -> None:
    asked = deployment.prometheus
    asked.until("sum(quayline_worker_processes)", 2)
    victim = next(pid for pid in writers() if deployment.worker.pid in ancestors(pid))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in writers(), within_s=60, what="its figures are put away")
    asked.until("sum(quayline_worker_processes)", 2, within_s=60)
    asked.until("sum(dramatiq_messages_inprogress) or vector(0)", 0)
    deployment.client.lint({"a.sql": b"SELECT 1 + 2\n"}, dialect="ansi").wait(timeout_s=60)
    # Those of another fleet begin at zero; those of the same one go on.
    counted = "sum(quayline_lint_seconds_count)"
    eventually(lambda: asked.value(counted) in (1, files + 1), within_s=30, what="all is counted")


def writers() -> set[int]:
    """Return the ids of the processes whose figures lie in files, of all fleets."""
    return {int(file.stem.rpartition("_")[2]) for file in _all_fleets().glob("*/gauge_*.db")}


def ancestors(pid: int) -> set[int]:
    """Return the ids of the processes above it."""
    with suppress(psutil.NoSuchProcess):
        return {each.pid for each in psutil.Process(pid).parents()}
    return set()
