"""Roles: every queue has its worker, and no worker waits behind another role's work."""

import subprocess
import sys

import pytest

from pipeline.cli.roles import ROLES, RoleName
from pipeline.rabbit import CPU_HEAVY

ONE_ROLE = [role for name, role in ROLES.items() if name is not RoleName.ALL]
#: A process of its own: actors are declared on the broker of the first who asks for one.
DECLARED = """
import actors, dramatiq
print(*{actor.queue_name for actor in dramatiq.get_broker().actors.values()})
"""


def test_every_queue_of_an_actor_belongs_to_exactly_one_role() -> None:
    said = subprocess.run(
        [sys.executable, "-c", DECLARED], capture_output=True, text=True, timeout=60, check=True
    )
    queues = said.stdout.split()
    assert "sql_analysis" in queues
    for queue in queues:
        holders = [role for role in ONE_ROLE if queue in role.queues]
        assert len(holders) == 1, f"{queue} belongs to {len(holders)} roles: pipeline/cli/roles.py"


def test_all_is_every_queue_whatever_is_declared() -> None:
    assert ROLES[RoleName.ALL].arguments() == []


def test_no_queue_is_named_twice() -> None:
    named = [queue for role in ONE_ROLE for queue in role.queues]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("queue", sorted(CPU_HEAVY))
def test_what_keeps_a_core_busy_is_fetched_one_at_a_time(queue: str) -> None:
    [role] = [role for role in ONE_ROLE if queue in role.queues]
    assert role.prefetch == 1
    assert role.per_core
