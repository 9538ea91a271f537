"""What keeps the hosts in order; the actors are those of the kind."""

from pipeline.core.upkeep.chore import Chore
from pipeline.kinds.container import cleaning

QUEUE = "docker_management"


def chores() -> list[Chore]:
    """Return the kind's part of the upkeep."""
    return [
        Chore(
            *("cleanup_containers", QUEUE, "Remove ended and stray containers on every host."),
            cleaning.clean_containers,
        ),
        Chore(
            *("cleanup_configs", QUEUE, "Remove configurations and outputs without a container."),
            cleaning.clean_configs,
        ),
        Chore(
            *("check_docker_hosts", QUEUE, "Ask every Docker host whether it answers."),
            cleaning.ask_hosts,
        ),
    ]
