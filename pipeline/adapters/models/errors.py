"""What can go wrong with a model's endpoint, by what the caller can do about it."""

from pipeline.errors import Permanent, Transient
from pipeline.states import Reason


class ModelAway(Transient):
    """Raised when the endpoint does not answer, fails, or breaks off in its answer."""


class ModelBusy(ModelAway):
    """Raised when the endpoint takes no more for now; with ``after_s`` it said for how long."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class QuestionRefused(Permanent):
    """Raised when the endpoint does not take what it was asked, with its own words."""

    default_reason = Reason.BAD_REQUEST


class KeyRefused(Permanent):
    """Raised when the endpoint does not take the key of the profile, or there is none."""


class Stopped(Permanent):
    """Raised when the call was told to stop before the answer was whole."""

    default_reason = Reason.CANCELLED
