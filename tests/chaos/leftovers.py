"""What a deployment must not leave behind: messages, temporary files, half-written blobs."""

from pathlib import Path

from tests.support.faults import Fleet
from tests.support.servers import Rabbit
from tests.support.waiting import eventually


def leftovers(fleet: Fleet, rabbit_node: Rabbit, temporary: Path) -> int:
    """Return how many there are, the workers having had time to take what waits; print each."""
    with_messages: list[str] = []

    def drained() -> bool:
        lines = rabbit_node.control("list_queues", "--no-table-headers", "name", "messages")
        with_messages[:] = [line for line in lines.splitlines() if not line.endswith("\t0")]
        return not with_messages

    try:
        eventually(drained, within_s=20, every_s=0.5)
    except AssertionError:
        print("left in queues:", with_messages)
    files = [path for path in temporary.rglob("*") if path.is_file()]
    spooled = list(Path(fleet.settings.storage, "spool").glob("*"))
    print("left in folders:", *files, *spooled)
    return len(with_messages) + len(files) + len(spooled)
