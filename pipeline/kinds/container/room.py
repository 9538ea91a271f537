"""How many more containers the hosts take."""

from pipeline.core import executions, hosts
from pipeline.core.context import Context


def room(context: Context) -> int:
    """Return the free slots of all hosts that answer."""
    load = executions.load()
    return sum(
        max(0, host.slots - load.get(host.name, 0))
        for host in hosts.known(context.settings)
        if host.takes
    )
