"""The actors are known wherever messages are looked at, without what makes a worker heavy."""

import inspect
import os
import subprocess
import sys

import pytest

from pipeline.core import doorbells
from pipeline.core.context import Context
from pipeline.core.kinds import all_kinds
from pipeline.signatures import misfit

HEAVY = ("sqlfluff", "sqlfluffrs", "docker", "jinja2")


def test_actors_load_no_engine() -> None:
    code = f"import sys, actors; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("module", ["actors", "schedules.__main__"])
@pytest.mark.parametrize(
    ("name", "value"), [("BROKER_URL", "amqp://u:hunter2@h:port/"), ("LEASE_S", "soon")]
)
def test_setting_that_cannot_be_used_is_one_sentence_of_a_worker_and_a_scheduler(
    module: str, name: str, value: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, f"QUAYLINE_{name}": value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: The setting QUAYLINE_{name} cannot be used: ")
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_every_kind_of_ours_has_its_actors(context: Context) -> None:
    kinds = [kind for kind in all_kinds() if kind.package.startswith("pipeline.")]
    named = {name for kind in kinds for name in (kind.plan_actor, kind.work_actor)}
    assert named <= set(doorbells.declared())


def test_every_actor_says_what_it_takes(context: Context) -> None:
    for name, actor in doorbells.declared().items():
        told = inspect.signature(actor.fn).parameters.values()
        assert all(each.annotation is not inspect.Parameter.empty for each in told), name
        assert misfit(actor.fn, (object(),), {})
