"""Takes batches of the access log off the broker: the message is all there is of them."""

import logging
import time
from collections.abc import Sequence

from peewee import PeeweeException

from pipeline import broker
from pipeline.core import access_log
from pipeline.core.access_log import Record
from pipeline.errors import Transient

log = logging.getLogger(__name__)

#: Before a batch that cannot be written is put back at the end of its queue.
PAUSE_S = 1.0
#: With a broker that takes nothing either: it hands out the batch again when it is back.
TRIES = 10


def take(batch: Sequence[Record], *, pause_s: float = PAUSE_S) -> None:
    """The batch has its rows, or it waits in the queue again: a database that is away loses none.

    A worker that is killed in here has not acknowledged the message; who gets it next finds the
    rows that are there already.
    """
    for _ in range(TRIES):
        try:
            _store(batch)
            return
        except Transient as error:
            log.warning("Requests could not be noted yet", extra={"error": error.message})
        if not broker.stopping():
            time.sleep(pause_s)
        again = broker.message(access_log.QUEUE, access_log.ACTOR, list(batch))
        if broker.send([again]):
            return
    log.error("Requests were not noted and are lost", extra={"records": len(batch)})


def _store(batch: Sequence[Record]) -> None:
    """Write the batch; a record that no database takes costs itself, not its neighbours."""
    try:
        access_log.store(batch)
    except PeeweeException as error:
        if len(batch) == 1:
            why = (str(error).splitlines() or [""])[0]
            log.error("A request cannot be noted", extra={"id": batch[0]["id"], "error": why})
            return
        for each in batch:
            _store([each])
