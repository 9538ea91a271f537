"""A kind whose tasks do nothing: what is left is the machine itself."""

from pydantic import BaseModel, ConfigDict

from pipeline.core.kinds import Kind


class TrivialParameters(BaseModel):
    """``tasks``: their number; ``bad``: those (by place) that end badly; ``pause_s``: of each.

    ``slow``: those (by place) that take another pause; ``deadly``: those that kill their worker.
    ``needs``: what a task needs; ``always``: those that run however their needs ended; ``stops``:
    those whose bad end stops the job.
    """

    model_config = ConfigDict(extra="forbid")

    tasks: int = 0
    bad: dict[int, str] = {}
    pause_s: float = 0.0
    slow: dict[int, float] = {}
    deadly: list[int] = []
    needs: dict[int, list[int]] = {}
    always: list[int] = []
    stops: list[int] = []


KIND = Kind(
    name="trivial",
    package=__name__,
    parameters=TrivialParameters,
    plan_queue="trivial_plan",
    plan_actor="plan_trivial",
    work_queue="trivial_work",
    work_actor="work_trivial",
)
