"""Services: named callables (chat, text, documents, your own) run as background tasks.

Light ones are of the kind ``service`` and run on ``fast_tasks``; heavy ones are of the kind
``heavy_service``, on ``heavy_tasks``, each in a child process: neither waits behind the other.
"""

from pipeline.core.kinds import Kind
from pipeline.kinds.service.calls import Rejected, RetryLater, TaskContext
from pipeline.kinds.service.registry import Limits, service
from pipeline.kinds.service.spec import HEAVY, LIGHT, ServiceParameters
from pipeline.settings import GIB

__all__ = ["KINDS", "Limits", "Rejected", "RetryLater", "TaskContext", "service"]

KINDS = (
    Kind(
        name=LIGHT,
        package=__name__,
        parameters=ServiceParameters,
        plan_queue="fast_tasks",
        plan_actor="plan_service",
        work_queue="fast_tasks",
        work_actor="execute_task",
        # About sixteen small calls are a batch: they wait for others most of the time.
        task_cost_bytes=768,
    ),
    Kind(
        name=HEAVY,
        package=__name__,
        parameters=ServiceParameters,
        plan_queue="fast_tasks",
        plan_actor="plan_heavy_service",
        work_queue="heavy_tasks",
        work_actor="execute_heavy_task",
        # More than a batch may cost: each call comes by a message of its own.
        task_cost_bytes=GIB,
    ),
)
