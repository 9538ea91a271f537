"""A container job has one task: its container."""

from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.core.planning import Planning
from pipeline.core.tasks import NewTask
from pipeline.kinds.container.spec import ContainerParameters
from pipeline.store.models import JobRow


def plan(job: JobRow, planning: Planning, context: Context) -> None:
    """Insert the task."""
    parameters = documents.read(ContainerParameters, job.parameters, "parameters")
    planning.add([NewTask(0, parameters.root.task_name, 0, {})])
