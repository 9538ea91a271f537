"""What happens periodically, as data: one line for each thing, its name the one in the settings.

Ticks do little; a tick that is missed or doubled harms nothing.
"""

from pipeline.core import dead_letters
from pipeline.core.context import Context
from pipeline.core.kinds import all_kinds
from pipeline.core.schedules.firing import run_due
from pipeline.core.sweep import sweep
from pipeline.core.timetable import Entry, sending
from pipeline.core.triggers import Cron, Every


def timetable(context: Context) -> list[Entry]:
    """Return the entries of this version, before the settings change them."""
    return [
        Entry("sweep", Every(context.settings.sweep_s), sweep, in_worker=True),
        # Far below the seven days after which RabbitMQ drops a dead message.
        Entry("dead_letters", Every(60), lambda _: dead_letters.take_in()),
        Entry("schedules", Every(2), run_due),
        sending("health_check", "check_health", Every(300)),
        sending("cleanup", "cleanup_task_resources", Every(3600)),
        # Before what they are made from may go.
        sending("statistics", "generate_statistics", Cron("0 1 * * *")),
        sending("statistics", "generate_access_statistics", Cron("0 1 * * *")),
        sending("cleanup", "cleanup_old_data", Cron("0 2 * * *")),
        sending(
            *("migration", "backup_data", Cron("0 3 * * *")),
            is_needed=lambda: context.settings.backup_dir is not None,
        ),
        sending("migration", "update_indexes", Cron("0 4 * * sun")),
        *(
            sending(
                *(tick.queue, tick.actor, Every(tick.every_s)),
                is_needed=tick.is_needed,
                in_worker=True,
            )
            for kind in all_kinds()
            for tick in kind.ticks(context)
        ),
    ]
