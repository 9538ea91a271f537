"""Figures of days equal a naive recount, whatever a zone does to clocks; told twice, the same."""

import json
import math
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from statistics import fmean
from typing import Any

import pytest

from pipeline import clock
from pipeline.clock import new_id
from pipeline.core import access_log, statistics
from pipeline.core.context import Context
from pipeline.core.statistics import Figure, Kept, Part, days, figures, generate, generating
from pipeline.core.statistics.access import access_figures
from pipeline.core.statistics.system import system_figures
from pipeline.core.upkeep.retention import clean_old_data
from pipeline.errors import Refused
from pipeline.signatures import misfit
from pipeline.states import TERMINAL_JOB
from pipeline.store.database import as_json, dialect, execute, proxy, session, transaction
from pipeline.store.models import database_now, utc_value
from tests.support.requests import record

#: In Berlin this day has 23 hours, in Lord Howe 24 and a half; in Havana it had no midnight.
SPRING = date(2026, 3, 29)
DAYS = [
    ("UTC", date(2026, 3, 1), 24.0),
    ("Europe/Berlin", SPRING, 23.0),
    ("Europe/Berlin", date(2026, 10, 25), 25.0),
    ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ("America/Havana", date(2026, 3, 8), 23.0),
    ("America/Havana", date(2026, 11, 1), 25.0),
    ("Asia/Kathmandu", date(2026, 3, 1), 24.0),
]

Told = dict[tuple[Any, ...], float]


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_days_follow_one_another_without_a_gap(zone: str, day: date, hours: float) -> None:
    start, end = days.bounds(day, zone)
    assert (end - start) == timedelta(hours=hours)
    assert days.bounds(day + days.DAY, zone)[0] == end
    assert days.of(start, zone) == day
    assert days.of(end - timedelta(microseconds=1), zone) == day
    assert days.of(end, zone) == day + days.DAY
    assert days.of(start - timedelta(microseconds=1), zone) == day - days.DAY


@pytest.mark.parametrize("text", ["", "2026-02-30", "20260301", "2026-W09-7", "1969-01-01", "x"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is no day"):
        statistics.named(text)


# Recounts


def moments(rng: random.Random, start: datetime, end: datetime, number: int) -> list[datetime]:
    """Return moments around that time, its own first and last among them, to the millisecond."""
    ms = timedelta(milliseconds=1)
    length = (end - start) // ms
    spread = [start + ms * rng.randrange(-length // 4, length + length // 4) for _ in range(number)]
    return [start, end, start - ms, end - ms, *spread]


def insert(table: str, row: dict[str, Any]) -> None:
    values = [utc_value(each) if isinstance(each, datetime) else each for each in row.values()]
    marks = ", ".join(["%s"] * len(row))
    execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *values)


def random_job(rng: random.Random, at: datetime) -> dict[str, Any]:
    """Return a job of which one moment is that one."""
    state = rng.choice([*TERMINAL_JOB, "running", "pending"])
    ended = state in TERMINAL_JOB
    took = [timedelta(milliseconds=rng.choice([0, 5, rng.randrange(90_000_000)])) for _ in range(2)]
    created = rng.choice([at, at - took[0] - took[1]])
    started = None if state == "pending" or rng.random() < 0.2 else created + took[0]
    finished = created + took[0] + took[1] if ended else None
    counts = [rng.randrange(50) for _ in range(4)]
    result = rng.choice(
        [
            *(None, {}, {"verdict": None}),
            {"verdict": {"counts": {"files": rng.randrange(9)}}},
            {"verdict": {"counts": {"files": "many", "violations": 2.5}}},
        ]
    )
    return {
        **{"id": clock.id_at(created).hex, "kind": rng.choice(["sql_lint", "container", "old"])},
        **{"state": state, "reason": "error", "priority": 5, "owner": rng.choice("abc")},
        **{"labels": "{}", "request_digest": "d", "parameters": "{}", "not_before": created},
        **{"created_at": created, "started_at": started, "finished_at": finished},
        **{"total": sum(counts) + (not ended), "succeeded": counts[0], "failed": counts[1]},
        **{"timed_out": counts[2], "cancelled": counts[3], "reused": counts[0] // 2},
        "result": None if result is None or not ended else as_json(result),
    }


def spread_of(name: str, groups: Iterable[tuple[tuple[Any, ...], float]]) -> Told:
    by: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for group, value in groups:
        by[group].append(value)
    told: Told = {}
    for group, values in by.items():
        values.sort()
        number = len(values)
        told |= {
            (name, *group, "mean"): fmean(values),
            (name, *group, "median"): values[math.ceil(number * 0.5) - 1],
            (name, *group, "p95"): values[math.ceil(number * 0.95) - 1],
            (name, *group, "max"): values[-1],
        }
    return told


def as_told(found: Iterable[Figure]) -> Told:
    """Return the figures by name and labels, without zeros; each is told once."""
    told = [((each.name, *each.labels.values()), float(each.value)) for each in found]
    assert len(dict(told)) == len(told)
    return {key: value for key, value in told if value}


def without_zeros(told: Mapping[tuple[Any, ...], float]) -> Told:
    return {key: value for key, value in told.items() if value}


def recount_jobs(jobs: list[dict[str, Any]], start: datetime, end: datetime) -> Told:
    new = [job for job in jobs if start <= job["created_at"] < end]
    done = [job for job in jobs if job["finished_at"] and start <= job["finished_at"] < end]
    told: Counter[tuple[Any, ...]] = Counter()
    told["job_owners",] = len({job["owner"] for job in new})
    for job in new:
        told["jobs_submitted", job["kind"]] += 1
    for job in done:
        told["jobs_ended", job["kind"], job["state"]] += 1
        told["tasks_reused", job["kind"]] += job["reused"]
        for state in ("succeeded", "failed", "timed_out", "cancelled"):
            told["tasks_ended", job["kind"], state] += job[state]
    times = spread_of(
        "job_duration_seconds",
        [
            ((job["kind"],), (job["finished_at"] - job["started_at"]).total_seconds())
            for job in done
            if job["started_at"]
        ],
    ) | spread_of(
        "job_wait_seconds",
        [
            ((job["kind"],), (job["started_at"] - job["created_at"]).total_seconds())
            for job in done
            if job["started_at"]
        ],
    )
    return {**told, **times, **recount_results(done)}


def recount_results(done: list[dict[str, Any]]) -> Told:
    told: Counter[tuple[Any, ...]] = Counter()
    for job in done:
        if job["kind"] == "sql_lint" and job["result"]:
            verdict = json.loads(job["result"]).get("verdict") or {}
            for name, value in verdict.get("counts", {}).items():
                if not isinstance(value, str):
                    told[f"lint_{name}", "sql_lint"] += value
    return dict(told)


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_figures_of_jobs_equal_a_recount(
    context: Context, zone: str, day: date, hours: float
) -> None:
    rng = random.Random(f"{zone} {day}")
    start, end = days.bounds(day, zone)
    jobs = [random_job(rng, at) for at in moments(rng, start, end, 300)]
    with transaction():
        for job in jobs:
            insert("jobs", job)
    found = as_told(system_figures(start, end))
    wanted = without_zeros(recount_jobs(jobs, start, end))
    assert found == pytest.approx(wanted, abs=0.0011)


def test_figures_of_what_else_there_is_equal_a_recount(context: Context) -> None:
    start, end = days.bounds(SPRING, "Europe/Berlin")
    rng = random.Random(8)
    told: Counter[tuple[Any, ...]] = Counter()
    with transaction():
        execute("DELETE FROM schedules")
        insert("schedules", schedule := a_schedule(start))
        for number, at in enumerate(sorted(set(moments(rng, start, end, 40)))):
            within = start <= at < end
            queue, outcome = rng.choice(["q1", "q2"]), rng.choice(["refused", "skipped_overlap"])
            body = rng.randbytes(rng.randrange(5000))
            letter = {"id": new_id().hex, "key": str(number), "queue": queue, "reason": "failed"}
            binary = proxy.obj.get_binary_type()
            insert("dead_letters", {**letter, "body": binary(b""), "found_at": at})
            fire = {"schedule_id": schedule["id"], "fire_time": at, "fired_at": at, "actor": "a"}
            insert("schedule_fires", {**fire, "outcome": outcome})
            result = {"key": str(number), "body": binary(body), "counts": "{}", "created_at": at}
            insert("results", result)
            told["dead_letters", queue] += within
            told["schedule_fires", outcome] += within
            told["results_stored",] += within
            told["results_stored_bytes",] += within * len(body)
            insert("jobs", job := {**random_job(rng, at), "kind": "container"})
            task = {"id": new_id().hex, "job_id": job["id"], "seq": 0, "name": "t"}
            task |= {"state": "pending", "payload": "{}", "not_before": at}
            insert("tasks", task)
            ended = rng.choice([None, at + timedelta(seconds=7)])
            execution = {"task_id": task["id"], "job_id": job["id"], "attempt": 1, "run": 1}
            execution |= {"host": "here", "container": "c", "placed_at": at, "launched_at": at}
            execution |= {"ended_at": ended, "exit_code": rng.choice([0, 1, None])}
            insert("executions", execution)
            if ended and job["finished_at"] and start <= job["finished_at"] < end:
                told["containers_ended", "here"] += 1
                told["containers_ended_badly", "here"] += execution["exit_code"] != 0
                told["container_seconds", "here"] += 7
    found = as_told(system_figures(start, end))
    names = {name for name, *_ in told}
    assert {key: value for key, value in found.items() if key[0] in names} == pytest.approx(
        without_zeros(told)
    )
    with transaction():
        execute("DELETE FROM schedules")


def test_figures_of_calls_and_models_equal_a_recount(context: Context) -> None:
    start, end = days.bounds(SPRING, "Europe/Berlin")
    rng = random.Random(9)
    told: Counter[tuple[Any, ...]] = Counter()
    tokens: Counter[tuple[str, str]] = Counter()
    with transaction():
        for at in moments(rng, start, end, 150):
            kind = rng.choice(["service", "heavy_service"])
            insert("jobs", job := {**random_job(rng, at), "kind": kind})
            within = bool(job["finished_at"]) and start <= job["finished_at"] < end
            for seq in range(2):
                state = rng.choice(["succeeded", "cancelled"])
                task = {"id": new_id().hex, "job_id": job["id"], "seq": seq, "name": "t"}
                task |= {"state": state, "payload": "{}", "not_before": at, "finished_at": at}
                insert("tasks", task)
                run = random_run(rng)
                row = {"task_id": task["id"], "job_id": job["id"], "attempt": 1}
                row |= {"record": as_json(run), "began_at": at, "updated_at": at}
                insert("service_runs", row)
                place = (kind, run["mode"], run["service"], state)
                told["service_calls", *place] += within
                told["service_run_seconds", *place] += within * run["run_s"]
                for model, counted in run["models"].items():
                    for name, number in counted.items():
                        told[model_figure(name, kind, model)] += within * number
                    tokens[kind, model] += within * (counted["input_tokens"] + 5)
    found = as_told(system_figures(start, end))
    names = {"service_calls", "service_run_seconds", "model_calls", "model_tokens"}
    wanted = without_zeros(told_together(told, tokens))
    assert {key: value for key, value in found.items() if key[0] in names} == pytest.approx(wanted)
    assert len({model for _, _, model, *_ in wanted if model.startswith("model")}) > 10


def model_figure(name: str, kind: str, model: str) -> tuple[str, ...]:
    if name == "calls":
        return ("model_calls", kind, model)
    return ("model_tokens", kind, model, name.removesuffix("_tokens"))


def random_run(rng: random.Random) -> dict[str, Any]:
    """Return the record of a task's runs, of which some called models."""
    models = {f"model {rng.randrange(30)}": rng.randrange(1000) for _ in range(rng.randrange(4))}
    return {
        **{"user_id": "", "step": 1, "runs": 1, "files": []},
        **{"mode": rng.choice(["chat", "é"]), "service": rng.choice(["a", "b/c"])},
        "run_s": rng.choice([0.25, 3.0]),
        "models": {
            model: {"calls": 1, "input_tokens": number, "output_tokens": 5}
            for model, number in models.items()
        },
    }


def told_together(told: Counter[tuple[Any, ...]], tokens: Counter[tuple[str, str]]) -> Told:
    """Return the figures with the ten models of each kind that took and gave most by name."""
    found: Counter[tuple[Any, ...]] = Counter()
    for (name, kind, what, *rest), value in told.items():
        if not name.startswith("model"):
            found[name, kind, what, *rest] += value
            continue
        mine = [(-number, model) for (of, model), number in tokens.items() if of == kind]
        named = {model for _, model in sorted(mine)[:10]}
        found[name, kind, what if what in named else "other", *rest] += value
    return dict(found)


def test_record_with_a_nul_in_it_costs_itself_and_not_the_day(context: Context) -> None:
    start, end = days.bounds(SPRING, "Europe/Berlin")
    job = {**random_job(random.Random(1), start), "kind": "service"}
    job |= {"state": "succeeded", "created_at": start, "finished_at": start, "result": None}
    with transaction():
        insert("jobs", job)
        for seq, model in enumerate(("a\0", "b")):
            task = {"id": new_id().hex, "job_id": job["id"], "seq": seq, "name": "t"}
            task |= {"state": "succeeded", "payload": "{}", "not_before": start}
            insert("tasks", {**task, "finished_at": start})
            counted = {"calls": 1, "input_tokens": 2, "output_tokens": 3}
            record = as_json({"mode": "chat", "service": "s", "models": {model: counted}})
            row = {"task_id": task["id"], "job_id": job["id"], "attempt": 1, "record": record}
            insert("service_runs", {**row, "began_at": start, "updated_at": start})
    found = as_told(system_figures(start, end))
    assert found["model_tokens", "service", "b", "output"] == 3


def a_schedule(at: datetime) -> dict[str, Any]:
    return {
        **{"id": new_id().hex, "name": "often", "owner": "ann", "kind": "trivial"},
        **{"parameters": "{}", "priority": 5, "labels": "{}", "every_s": 60.0, "timezone": "UTC"},
        **{"anchor_at": at, "enabled": 0, "catch_up": "skip", "overlap": "skip", "created_at": at},
    }


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_figures_of_requests_equal_a_recount(
    context: Context, zone: str, day: date, hours: float
) -> None:
    rng = random.Random(f"{zone} {day}")
    start, end = days.bounds(day, zone)
    made = [(at, random_request(rng, at)) for at in moments(rng, start, end, 400)]
    for first in range(0, len(made), 100):
        access_log.store([told for _, told in made[first : first + 100]])
    within = [told for at, told in made if start <= at < end]
    assert 0 < len(within) < len(made)
    found = as_told(access_figures(start, end))
    assert found == pytest.approx(without_zeros(recount_requests(within)))


def random_request(rng: random.Random, at: datetime) -> access_log.Record:
    path = rng.choice(["/api/v1/jobs", f"/api/v1/jobs/{rng.randrange(30)}", "/é"])
    return record(
        at,
        path=path,
        method=rng.choice(["GET", "POST"]),
        route=rng.choice(["/api/v1/jobs", "/api/v1/jobs/{job_id}", "unmatched"]),
        status_code=rng.choice([200, 201, 404, 503, 0]),
        response_time_ms=rng.choice([0.0, 1.0, rng.random() * 500]),
        user_id=rng.choice([None, *(f"user {n}" for n in range(15))]),
        resource_type=rng.choice([None, "job"]),
    )


def recount_requests(within: list[access_log.Record]) -> Told:
    told: Counter[tuple[Any, ...]] = Counter()
    told["access_requests",] = len(within)
    told["access_users",] = len({each["user_id"] for each in within} - {None})
    for each in within:
        told["access_requests_by_status", f"{each['status_code'] // 100}xx"] += 1
        told["access_requests_by_route", each["method"], each["route"]] += 1
        if each["resource_type"]:
            told["access_requests_by_resource", each["resource_type"]] += 1
    for name, field in (("access_top_paths", "path"), ("access_top_users", "user_id")):
        counted = Counter(each[field] for each in within if each[field])  # type: ignore[literal-required]
        for value, number in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:10]:
            told[name, value] = number
    times = [(each, each["response_time_ms"]) for each in within]
    return {
        **told,
        **spread_of("access_response_time_ms", [((), value) for _, value in times]),
        **spread_of(
            "access_response_time_ms_by_route",
            [((each["method"], each["route"]), value) for each, value in times],
        ),
    }


# Generating

NOW = datetime(2026, 3, 30, 1, 0, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Let the database's clock show that time to whoever makes figures."""

    def be(moment: datetime) -> None:
        monkeypatch.setattr(generating, "database_now", lambda: moment)

    be(NOW)
    return be


def requests(*moments: datetime) -> None:
    access_log.store([record(moment) for moment in moments])


def totals() -> dict[str, float]:
    """Return how many requests each day tells."""
    found = statistics.listed(date(1970, 1, 1), date(2099, 1, 1), name="access_requests")
    return {told.day.isoformat(): told.figures[0].value for told in found if told.figures}


def complete() -> dict[str, bool]:
    """Return whether each day's figures of the access log are complete."""
    found = statistics.listed(date(1970, 1, 1), date(2099, 1, 1))
    return {
        told.day.isoformat(): part.complete
        for told in found
        for part in told.parts
        if part.part is Part.ACCESS
    }


Clock = Callable[[datetime], None]


def test_day_before_is_made_and_again_the_one_before_it(context: Context, at: Clock) -> None:
    requests(NOW - timedelta(days=2), NOW - timedelta(hours=5), NOW - timedelta(hours=4), NOW)
    assert generate(Part.ACCESS, context).days == ["2026-03-28", "2026-03-29"]
    assert totals() == {"2026-03-29": 2, "2026-03-28": 1}
    requests(NOW - timedelta(days=2))
    generate(Part.ACCESS, context)
    assert totals() == {"2026-03-29": 2, "2026-03-28": 2}
    assert all(complete().values())


def test_days_of_a_scheduler_that_was_off_are_made_good(context: Context, at: Clock) -> None:
    requests(NOW - timedelta(days=6), NOW - timedelta(days=1))
    at(NOW - timedelta(days=5))
    generate(Part.ACCESS, context)
    at(NOW)
    told = generate(Part.ACCESS, context).days
    assert told == [f"2026-03-{day}" for day in (25, 26, 27, 28, 29)]
    assert sum(totals().values()) == 2


def test_no_day_is_made_of_before_anything_was_there(context: Context, at: Clock) -> None:
    assert generate(Part.SYSTEM, context).days == ["2026-03-29"]
    assert generate(Part.ACCESS, context).days == ["2026-03-29"]


def test_told_twice_or_at_once_is_the_same(context: Context, at: Clock) -> None:
    requests(*(NOW - timedelta(hours=5, minutes=n) for n in range(20)))
    threads = [
        threading.Thread(target=generate, args=(Part.ACCESS, context, date(2026, 3, 29)))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    [first] = statistics.listed(SPRING, SPRING)
    generate(Part.ACCESS, context)
    [again] = statistics.listed(SPRING, SPRING)
    assert first == again
    assert totals() == {"2026-03-29": 20}


def test_who_has_looked_before_another_does_not_write_over_it(context: Context) -> None:
    def write(seconds: int, value: float) -> bool:
        kept = Kept(Part.ACCESS, "UTC", True, NOW + timedelta(seconds=seconds))
        return figures.write(SPRING, kept, [Figure("access_requests", value)])

    assert write(5, 50.0)
    assert not write(4, 40.0)
    assert totals() == {"2026-03-29": 50.0}
    assert write(5, 51.0)
    assert totals() == {"2026-03-29": 51.0}


def test_killed_in_mid_writing_leaves_the_figures_before(
    context: Context, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests(NOW - timedelta(hours=5))
    generate(Part.ACCESS, context)
    requests(NOW - timedelta(hours=4))

    def killed(value: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(figures, "as_json", killed)
        with pytest.raises(KeyboardInterrupt):
            generate(Part.ACCESS, context)
    assert totals() == {"2026-03-29": 1}
    assert generate(Part.ACCESS, context).figures > 0
    assert totals() == {"2026-03-29": 2}


def test_day_that_is_not_over_is_partial_until_it_is(context: Context, at: Clock) -> None:
    requests(NOW - timedelta(minutes=1))
    told = generate(Part.ACCESS, context, days.of(NOW, "UTC"))
    assert (told.days, told.partial) == (["2026-03-30"], 1)
    assert complete() == {"2026-03-30": False}
    at(NOW + timedelta(days=1))
    generate(Part.ACCESS, context)
    assert complete()["2026-03-30"]


def test_day_that_has_not_begun_is_refused(context: Context, at: Clock) -> None:
    with pytest.raises(Refused, match="has not begun"):
        generate(Part.SYSTEM, context, date(2026, 3, 31))


def test_figures_outlive_what_they_were_made_from(context: Context, at: Clock) -> None:
    requests(NOW - timedelta(hours=5))
    generate(Part.ACCESS, context)
    at(NOW + timedelta(days=91))
    with session():
        execute("DELETE FROM access_log")
    with pytest.raises(Refused, match="its figures, made at 2026-03-30 01:00 UTC, stay"):
        generate(Part.ACCESS, context, SPRING)
    generate(Part.ACCESS, context)
    assert totals()["2026-03-29"] == 1


def test_day_of_which_something_may_be_gone_is_partial(context: Context, at: Clock) -> None:
    requests(NOW - timedelta(days=100))
    told = generate(Part.ACCESS, context, days.of(NOW - timedelta(days=100), "UTC"))
    assert told.partial == 1


def test_days_are_those_of_the_zone_of_the_settings(context: Context, at: Clock) -> None:
    # Half past eleven in the evening in UTC is the next day already in Berlin.
    requests(datetime(2026, 3, 28, 23, 30, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC))
    settings = context.settings.model_copy(update={"timezone": "Europe/Berlin"})
    generate(Part.ACCESS, replace(context, settings=settings), SPRING)
    assert totals() == {"2026-03-29": 1}
    [told] = statistics.listed(SPRING, SPRING)
    assert told.parts[0].timezone == "Europe/Berlin"


def test_figures_stay_unless_the_setting_names_them(context: Context) -> None:
    old, young = date(2020, 1, 1), days.of(database_now(), "UTC")
    for day in (old, young):
        figures.write(day, Kept(Part.SYSTEM, "UTC", True, NOW), [Figure("n", 1.0)])
    assert clean_old_data(context).daily_figures == 0
    settings = context.settings.model_copy(update={"retention_days": '{"daily_figures": 365}'})
    named = replace(context, settings=settings)
    assert clean_old_data(named, dry_run=True).daily_figures == 1
    assert clean_old_data(named).daily_figures == 1
    assert [told.day for told in statistics.listed(old, young)] == [young]


def test_jobs_of_a_day_are_found_by_indexes(context: Context) -> None:
    start, end = days.bounds(SPRING, "UTC")
    rng = random.Random(1)
    with transaction():
        for number in range(2000):
            insert("jobs", random_job(rng, start - timedelta(hours=number)))
    with session():
        execute("ANALYZE")
        explain = "EXPLAIN" if dialect().postgres else "EXPLAIN QUERY PLAN"
        plan = execute(
            f"{explain} SELECT kind, count(*) FROM jobs WHERE finished_at >= %s"
            " AND finished_at < %s GROUP BY kind",
            *(utc_value(start), utc_value(end)),
        )
    assert "jobs_by_end" in str(plan)


def test_actors_make_the_day_that_they_are_told(context: Context, at: Clock) -> None:
    from actors.statistics import generate_access_statistics, generate_statistics

    requests(NOW - timedelta(days=9))
    for actor in (generate_statistics, generate_access_statistics):
        actor.fn("2026-03-21")
        actor.fn("2026-03-21")
        assert misfit(actor.fn, ("2026-03-21",), {}) == misfit(actor.fn, (), {}) == ""
        assert misfit(actor.fn, ("21.3.2026",), {})
    [told] = statistics.listed(date(2026, 1, 1), NOW.date())
    assert (told.day, len(told.parts)) == (date(2026, 3, 21), 2)
    assert totals() == {"2026-03-21": 1}


@pytest.mark.parametrize("day", ["2026-02-30", "2099-01-01"])
def test_day_that_cannot_be_is_one_line_of_the_log(
    context: Context, at: Clock, day: str, caplog: pytest.LogCaptureFixture
) -> None:
    from actors.statistics import generate_statistics

    generate_statistics.fn(day)
    assert [each.getMessage() for each in caplog.records] == ["A chore could not be done"]
