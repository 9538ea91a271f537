"""The actors of this version, found by name: ``core`` does not know them.

Their modules import nothing of a kind's engine, so that whoever looks at messages may look at the
actors, too, and not only a worker.
"""

import importlib
import sys

import dramatiq

from pipeline import broker
from pipeline.messages import Actors

#: What the ``dramatiq`` command loads in a worker process.
PACKAGE = "actors"


def declared() -> Actors:
    """Declare the actors on this process's broker; return all that it has."""
    importlib.import_module(PACKAGE)
    rooms = [room for name, room in sys.modules.items() if name.partition(".")[0] == PACKAGE]
    for actor in (each for room in rooms for each in vars(room).values()):
        if isinstance(actor, dramatiq.Actor):
            broker.take_over(actor)
    return broker.current_broker().actors
