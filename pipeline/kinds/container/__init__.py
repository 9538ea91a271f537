"""Containers: a crawler, an API or database collector, or any other image, run on a Docker host."""

from pipeline.core.kinds import Kind
from pipeline.kinds.container.spec import ContainerParameters
from pipeline.settings import GIB

KIND = Kind(
    name="container",
    package=__name__,
    parameters=ContainerParameters,
    plan_queue="task_execution",
    plan_actor="plan_container",
    work_queue="task_execution",
    work_actor="launch_container",
    # More than a batch may cost: each container is launched by a message of its own.
    task_cost_bytes=GIB,
    is_limited=True,
    end_queue="task_execution",
    end_actor="collect_container",
)
