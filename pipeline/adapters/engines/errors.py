"""What can go wrong with an engine, by what the caller can do about it."""

from pipeline.errors import NotFound, Permanent, Transient
from pipeline.states import Reason


class EngineUnavailable(Transient):
    """Raised when the engine is away, hangs, refuses us, or its reply was lost.

    Whether the call had its effect is not known: look again, or repeat it.
    """

    default_reason = Reason.HOST_LOST


class ImageMissing(Permanent):
    """Raised when the engine does not have the image; nothing is pulled."""

    default_reason = Reason.IMAGE_MISSING


class CannotCreate(Permanent):
    """Raised when the engine refuses the container, with its own sentence."""

    default_reason = Reason.CANNOT_CREATE


class CannotStart(Permanent):
    """Raised when the container is there and the engine cannot start it."""

    default_reason = Reason.CANNOT_START


class ForeignContainer(Permanent):
    """Raised when a container of that name belongs to somebody else; it is left alone."""

    default_reason = Reason.CANNOT_CREATE


class OutputTooLarge(Permanent):
    """Raised when a container left more output than is taken."""

    default_reason = Reason.TOO_LARGE


class NoSuchContainer(NotFound):
    """Raised when there is no container of that name, or no longer."""
