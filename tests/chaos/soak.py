"""Half an hour of everything at once: ``python -m tests.chaos.soak --minutes 30`` (``make soak``).

Mixed submissions on real servers and supervised processes, one of which is killed every 20 s. A
worker that is never killed, the elder, shows what half an hour does to a process. Afterwards all
is recounted from the rows, and what was sampled has to have stayed flat.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.core import jobs
from pipeline.core.kinds import register
from pipeline.producer import Client
from pipeline.settings import Settings
from tests.benchmarks.memory import Sampler, processes_of
from tests.chaos.flatness import Judged, as_table, judge
from tests.chaos.gauges import Gauges
from tests.chaos.mixture import Mixture
from tests.support import trivial
from tests.support.faults import Fleet, fault_settings
from tests.support.recount import Recount
from tests.support.servers import Rabbit, drop_broken_connections, own_rabbit
from tests.support.services import own_database
from tests.support.waiting import eventually
from tests.support.workers import Census, supervised

#: So many jobs are open at once: the backlog does not grow, whatever the machine manages.
OPEN_JOBS = 12
TURN_S = 0.25
#: So many descriptors more than after the warm-up a process that is never killed may hold at rest.
#: What it holds follows what it may do at once, not what it has done: a database connection for
#: each of two working threads, their two heartbeats and two more, the broker's two, and a socket
#: and a handle for one lint child. Whatever leaked one a batch or a job would be far beyond.
MORE_DESCRIPTORS = 10
SETTLE_S = 180.0
#: So much more than at the start a gauge may show once all is at rest (a connection that a killed
#: process held is closed by then; one that a pool opened meanwhile stays open).
REST = {
    "database connections": 12,
    "messages waiting": 0,
    "temporary files": 0,
    "spooled files": 0,
}
_never = threading.Event()
#: The spared worker's name, and the role of each of its processes.
ELDER = "elder"


@dataclass(frozen=True, slots=True)
class Told:
    """How long, how often a process is killed and how often all are sampled, in seconds."""

    lasts_s: float
    kill_every_s: float = 20.0
    sample_every_s: float = 3.0
    seed: int = 1


@dataclass
class Found:
    """What a soak came to."""

    recount: Recount
    judged: list[Judged]
    at_first: dict[str, float]
    at_rest: dict[str, float]
    figures: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)

    @property
    def flat(self) -> bool:
        """Nothing grew."""
        return all(each.flat for each in self.judged)

    def line(self, what: str) -> str:
        """Return the line of figures."""
        return self.recount.line(what, **self.figures, flat=self.flat)


def settings(folder: Path, database_url: str, broker_url: str) -> Settings:
    """Return the settings of a soak: faults are noticed within seconds and borne many times."""
    return fault_settings(
        *(folder, database_url, broker_url),
        lease_s=5.0,
        max_attempts=20,
        batch_tasks=25,
        lint_time_limit_s=4.0,
        lint_memory_limit_bytes=512 * 1024 * 1024,
    )


class Soak:
    """One deployment under a soak."""

    def __init__(self, told: Told, fleet: Fleet, rabbit: Rabbit, client: Client) -> None:
        self.told = told
        self.fleet = fleet
        self.temporary = fleet.logs / "tmp"
        self.temporary.mkdir()
        self.chance = random.Random(told.seed)
        self.mixture = Mixture(client, fleet.logs, fleet.accepted, self.chance)
        self.gauges = Gauges(fleet.settings.database, rabbit, fleet.logs / "state", self.temporary)
        self.elder = self._with_own_folder(fleet.worker(ELDER, processes=1, threads=2))
        self.young = self._with_own_folder(fleet.worker("worker", processes=2, threads=2))
        self.scheduler = self._with_own_folder(fleet.scheduler())
        self.kills: Counter[str] = Counter()
        self.census = Census(self.elder, self.young, self.scheduler)

    def _with_own_folder(self, process: Any) -> Any:
        process.env["TMPDIR"] = str(self.temporary)
        return process

    def run(self) -> Found:
        """Run it all; return what was found once everything has ended."""
        try:
            with supervised(self.elder, self.young, self.scheduler):
                self._warm_up()
                spared = self._spared()
                sampler = Sampler(self._watched, every_s=self.told.sample_every_s, also=self.gauges)
                at_first = self.gauges()
                held_at_first = self._descriptors()
                with sampler:
                    self._work()
                recount = self._settled()
                at_rest = self._at_rest(at_first)
                lost = len(spared) - len(spared & self._spared())
                more = self._more_descriptors(held_at_first)
                batches = self.gauges.batches_of(spared)
            found = self._found(recount, sampler, at_first, at_rest, lost)
            found.figures |= {"spared_batches": batches, "more_descriptors": more}
            return found
        finally:
            self.gauges.close()

    def _watched(self) -> Iterator[tuple[str, psutil.Process]]:
        yield from processes_of(self.elder, "elder ")
        yield from processes_of(self.young)
        yield from processes_of(self.scheduler)
        yield "submitter", psutil.Process()

    def _warm_up(self) -> None:
        """Let every process load what it needs, so that growth from there on is growth."""
        for _ in range(6):
            self.mixture.submit()
        eventually(lambda: not self.gauges.open_jobs(), within_s=SETTLE_S, what="warm")

    def _spared(self) -> set[int]:
        """Return the processes of the elder that must live through it all; lint children come
        and go by themselves."""
        return {
            process.pid for role, process in processes_of(self.elder) if role.startswith("worker")
        }

    def _descriptors(self) -> dict[tuple[str, int], int]:
        """Return the descriptors that each process holds which must live through it all."""
        spared = [("submitter", psutil.Process())]
        for role, process in processes_of(self.elder):
            if role != "lint child":
                spared.append((role, process))
        return {(role, process.pid): process.num_fds() for role, process in spared}

    def _more_descriptors(self, at_first: dict[tuple[str, int], int]) -> int:
        """Return by how many the one that grew most has grown, once it had time to come down."""

        def grown() -> int:
            now = self._descriptors()
            return max(now[each] - held for each, held in at_first.items() if each in now)

        with suppress(AssertionError):
            eventually(lambda: grown() <= MORE_DESCRIPTORS, within_s=30, every_s=1.0)
        return grown()

    def _work(self) -> None:
        """Submit, cancel and kill until the time is over."""
        began = time.monotonic()
        next_kill_s = self.told.kill_every_s
        while (now_s := time.monotonic() - began) < self.told.lasts_s:
            self.mixture.cancel_due()
            if self.gauges.open_jobs() < OPEN_JOBS:
                self.mixture.submit()
            if now_s >= next_kill_s:
                next_kill_s += self.told.kill_every_s
                self.census.take()
                self._kill_one()
            _never.wait(TURN_S)

    def _kill_one(self) -> None:
        """Kill a process of a random role; a role that has none now is passed over."""
        roles: dict[str, list[int]] = {"scheduler": [self.scheduler.pid], "lint process": []}
        for role, process in processes_of(self.young):
            name = "lint process" if role.startswith("lint") else role
            roles.setdefault(name, []).append(process.pid)
        # The elder's lint children are anybody's prey: that costs a file a strike, not the worker.
        roles["lint process"] += [
            process.pid for role, process in processes_of(self.elder) if role == "lint child"
        ]
        roles.pop("resource tracker", None)
        role = self.chance.choice([role for role, pids in roles.items() if pids])
        with suppress(ProcessLookupError):
            os.kill(self.chance.choice(roles[role]), signal.SIGKILL)
            self.kills[role] += 1

    def _settled(self) -> Recount:
        """Return the recount once everything has ended."""
        found = self.fleet.settled(within_s=SETTLE_S)
        for job_id, reason in self.mixture.refused.items():
            job = jobs.get(uuid.UUID(job_id))
            if job.reason != reason:
                print(f"job {job_id} was to end as {reason}, not {job.reason}: {job.message}")
                found.unexpected += 1
        return found

    def _at_rest(self, at_first: dict[str, float]) -> dict[str, float]:
        """Return the gauges once they are back at what they were, or as they are in the end."""
        held = ("database connections", "messages waiting", "temporary files", "spooled files")

        def back() -> bool:
            now = self.gauges()
            return all(now[name] <= at_first[name] + REST[name] for name in held)

        with suppress(AssertionError):
            eventually(back, within_s=60, every_s=1.0)
        return self.gauges()

    def _found(
        self,
        recount: Recount,
        sampler: Sampler,
        at_first: dict[str, float],
        at_rest: dict[str, float],
        lost: int,
    ) -> Found:
        left = len(self.census.left())
        extra = [
            max(0, int(at_rest[name] - at_first[name] - allowed)) for name, allowed in REST.items()
        ]
        recount.leftovers = left + sum(extra)
        kills = {f"{role.replace(' ', '_')}_kills": n for role, n in sorted(self.kills.items())}
        figures = {
            "seconds": round(self.told.lasts_s),
            "jobs": sum(self.mixture.told.values()),
            "cancelled_jobs": len(self.mixture.cancelled),
            "refused_jobs": len(self.mixture.refused),
            "kills": sum(self.kills.values()),
            "spared_lost": lost,
            **kills,
        }
        samples = {name: series.points for name, series in sampler.series.items()}
        return Found(recount, judge(sampler.series), at_first, at_rest, figures, samples)


def soak(told: Told, folder: Path) -> Found:
    """Run one soak on servers of its own; nothing of it is left but the files in ``folder``."""
    register(trivial.KIND)
    with ExitStack() as stack:
        rabbit = stack.enter_context(own_rabbit())
        database_url = stack.enter_context(own_database())
        client = stack.enter_context(Client(settings(folder, database_url, rabbit.url)))
        stack.callback(drop_broken_connections)
        fleet = Fleet(client.context.settings, folder)
        return Soak(told, fleet, rabbit, client).run()


def main() -> int:
    """Run a soak as the command line says; 0 when it was sound and flat."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/soak"))
    options = parser.parse_args()
    told = Told(options.minutes * 60, kill_every_s=options.kill_every, seed=options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="quayline-soak-") as folder:
        found = soak(told, Path(folder))
    line = found.line(f"soak of {options.minutes:g} minutes")
    table = as_table(found.judged)
    told_all = {
        "recount": asdict(found.recount),
        "figures": found.figures,
        "at_first": found.at_first,
        "at_rest": found.at_rest,
        "judged": [{**asdict(each), "flat": each.flat} for each in found.judged],
        "samples": found.samples,
    }
    (options.out / "soak.json").write_text(json.dumps(told_all) + "\n")
    (options.out / "soak.md").write_text(f"{line}\n\n{table}")
    print(table)
    print(line)
    held = (
        found.figures["spared_lost"] == 0 and found.figures["more_descriptors"] <= MORE_DESCRIPTORS
    )
    return 0 if found.recount.sound and found.flat and held else 1


if __name__ == "__main__":
    sys.exit(main())
