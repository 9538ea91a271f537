"""What ``doctor`` looks at: each check is one short look, and says how to mend."""

import difflib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from pipeline.adapters.engines import open_engine
from pipeline.adapters.models import profiles
from pipeline.cli.settings_table import masked
from pipeline.core import finishing, health
from pipeline.core.context import open_storage
from pipeline.core.kinds import get_kind
from pipeline.errors import QuaylineError
from pipeline.settings import MIB, Settings
from pipeline.store import database, schema

#: Clocks that differ by more make leases and due times wrong in logs and estimates.
MOST_SKEW = timedelta(seconds=5)
LOW_DISK_BYTES, NO_DISK_BYTES = 1024 * MIB, 64 * MIB
KINDS = ("sql_lint",)
#: Three times the pause between two looks.
OLD_HEALTH_S = 900.0


class Mark(StrEnum):
    """How a check went; only ``bad`` makes doctor fail."""

    GOOD = "ok"
    POOR = "warning"
    BAD = "failed"


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, how it is, and what to do about it."""

    name: str
    mark: Mark
    message: str


def checks(settings: Settings) -> Iterator[Check]:
    """Yield the findings; none of the checks changes anything."""
    for name, look in (
        ("settings", _variables),
        ("database", _database),
        ("storage", _storage),
        ("broker", _broker),
        ("engine", _engine),
        ("containers", _containers),
        ("models", _models),
        ("disk", _disk),
        ("health", _health),
    ):
        yield from _guarded(name, look, settings)


def _guarded(
    name: str, look: Callable[[Settings], Iterator[Check]], settings: Settings
) -> Iterator[Check]:
    try:
        yield from look(settings)
    except (QuaylineError, OSError) as error:
        yield Check(name, Mark.BAD, str(error))


def _variables(settings: Settings) -> Iterator[Check]:
    """A misspelt variable is one that nobody reads."""
    known = [f"QUAYLINE_{name.upper()}" for name in type(settings).model_fields]
    for name in sorted(os.environ):
        if name.startswith("QUAYLINE_TEST_"):  # Where the project's own tests find servers.
            continue
        if name.startswith("QUAYLINE_") and name.upper() not in known:
            meant = difflib.get_close_matches(name.upper(), known, n=1)
            text = f"{name} is no setting of Quayline and has no effect."
            text += f" Is {meant[0]} meant?" if meant else " `quayline settings` lists them."
            yield Check("settings", Mark.POOR, text)


def _database(settings: Settings) -> Iterator[Check]:
    where = masked(settings.database)
    if settings.database.startswith("sqlite:"):
        file = Path(settings.database.removeprefix("sqlite:///")).expanduser()
        if not file.exists():
            message = f"{where} does not exist yet; the first job makes it."
            yield Check("database", Mark.GOOD, message)
            return
    mend = f"Is it up, and is QUAYLINE_DATABASE_URL right? ({where})"
    try:
        database.open_database(settings.database, pool=2, timeout_s=settings.database_timeout_s)
        missing, version = schema.pending(), schema.version()
        began = datetime.now(UTC)
        theirs = _database_now()
    except QuaylineError as error:
        yield Check("database", Mark.BAD, f"{error.message} {mend}")
        return
    finally:
        database.close_database()
    if missing:
        text = (
            f"{where} answers, but its schema ({version or 'empty'}) lacks {', '.join(missing)};"
            " the next worker or submission brings it up to date."
        )
        yield Check("database", Mark.POOR, text)
    else:
        yield Check("database", Mark.GOOD, f"{where} answers; schema {version}.")
    yield _skew(theirs, began)


def _database_now() -> datetime:
    with database.session():
        [(now,)] = database.execute(f"SELECT {database.dialect().now}")
    moment = now if isinstance(now, datetime) else datetime.fromisoformat(now)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _skew(theirs: datetime, began: datetime) -> Check:
    ours = began + (datetime.now(UTC) - began) / 2
    skew = abs(theirs - ours)
    if skew > MOST_SKEW:
        text = (
            f"The database's clock and this machine's differ by {skew.total_seconds():.1f} s;"
            " set both by NTP."
        )
        return Check("clock", Mark.POOR, text)
    return Check(
        "clock", Mark.GOOD, f"Database and this machine agree within {skew.total_seconds():.2f} s."
    )


def _storage(settings: Settings) -> Iterator[Check]:
    where = masked(settings.storage)
    try:
        open_storage(settings).check()
    except (QuaylineError, OSError, ValueError) as error:
        mend = "Is the folder there and writable, and QUAYLINE_STORAGE_URL right?"
        yield Check("storage", Mark.BAD, f"{where}: {str(error).rstrip('.')}. {mend}")
        return
    if not settings.embedded and not settings.storage_url:
        text = (
            f"{where} can be written, but QUAYLINE_STORAGE_URL is not set: workers on other"
            " machines do not see this folder."
        )
        yield Check("storage", Mark.POOR, text)
        return
    yield Check("storage", Mark.GOOD, f"{where} can be written.")


def _broker(settings: Settings) -> Iterator[Check]:
    if settings.embedded:
        text = "None is needed: messages stay in the process (QUAYLINE_BROKER_URL is not set)."
        yield Check("broker", Mark.GOOD, text)
        return
    where = masked(settings.broker_url)
    try:
        found = list(_queues(settings))
    except Exception as error:  # noqa: BLE001 - pika raises its own, socket's and ssl's errors
        why = str(error) or type(error).__name__
        mend = "Is RabbitMQ up, and is QUAYLINE_BROKER_URL right (user, password, virtual host)?"
        yield Check("broker", Mark.BAD, f"{where} does not answer: {why.rstrip('.')}. {mend}")
        return
    yield Check("broker", Mark.GOOD, f"{where} answers.")
    for queue, counts in found:
        yield _queue(queue, counts)


def _queues(settings: Settings) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Yield (queue, (messages, consumers)); None for a queue that does not exist yet."""
    import pika
    from pika.exceptions import ChannelClosedByBroker

    limits = pika.URLParameters(settings.broker_url)
    limits.socket_timeout = limits.blocked_connection_timeout = settings.broker_timeout_s
    limits.stack_timeout = settings.broker_timeout_s * 2
    limits.connection_attempts = 1
    connection = pika.BlockingConnection(limits)
    try:
        for queue in queue_names():
            channel = connection.channel()
            try:
                counts = channel.queue_declare(queue, passive=True).method
                yield queue, (counts.message_count, counts.consumer_count)
                channel.close()
            except ChannelClosedByBroker:
                yield queue, None
    finally:
        connection.close()


def queue_names() -> list[str]:
    """Return the queues that workers consume."""
    kinds = [get_kind(name) for name in KINDS]
    return [*(q for kind in kinds for q in (kind.plan_queue, kind.work_queue)), finishing.QUEUE]


def _queue(queue: str, counts: tuple[int, int] | None) -> Check:
    name = f"queue {queue}"
    if counts is None:
        text = "It does not exist yet; the first worker or message makes it."
        return Check(name, Mark.POOR, text)
    messages, consumers = counts
    told = f"{_amount(messages, 'message')} waiting, {_amount(consumers, 'consumer')}."
    if not consumers:
        text = f"{told} No worker takes from it: start `quayline worker` or `dramatiq actors`."
        return Check(name, Mark.POOR, text)
    return Check(name, Mark.GOOD, told)


def _engine(settings: Settings) -> Iterator[Check]:
    found = {name: _installed(name) for name in ("sqlfluff", "sqlfluffrs")}
    if found["sqlfluff"] is None:
        mark = Mark.BAD if settings.embedded else Mark.GOOD
        text = (
            "SQLFluff is not installed; to lint here: pip install 'quayline[lint]'."
            if settings.embedded
            else "SQLFluff is not installed here; only workers need it."
        )
        yield Check("engine", mark, text)
    elif found["sqlfluffrs"] is None:
        text = (
            f"SQLFluff {found['sqlfluff']} without its Rust parser, which is faster:"
            " pip install 'quayline[lint]'."
        )
        yield Check("engine", Mark.POOR, text)
    else:
        text = f"SQLFluff {found['sqlfluff']} with its Rust parser {found['sqlfluffrs']}."
        yield Check("engine", Mark.GOOD, text)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _containers(settings: Settings) -> Iterator[Check]:
    """Only container jobs need Docker, so that its absence is no failure."""
    engine = open_engine(
        settings.docker_url,
        deployment="doctor",
        folder=settings.state_dir / "processes",
        may_be_local=settings.embedded,
    )
    try:
        told = engine.ping()
    except QuaylineError as error:
        text = f"{error.message} Container jobs wait until a host answers (`quayline hosts list`)."
        yield Check("containers", Mark.POOR, text)
        return
    finally:
        engine.close()
    if told.kind == "process":
        text = "No Docker here: collectors run as processes of this machine, not isolated."
        yield Check("containers", Mark.GOOD, text)
    else:
        text = f"Docker {told.version} on {told.name} answers; {told.cpus} CPUs."
        yield Check("containers", Mark.GOOD, text)


def _models(settings: Settings) -> Iterator[Check]:
    """Nothing is asked: a question costs money."""
    known = profiles(settings.models.get_secret_value())
    if not known:
        return
    told = f"Endpoints of models: {', '.join(known)}."
    if _installed("openai") is None:
        text = f"{told} Their SDK is missing: pip install 'quayline[services]'."
        yield Check("models", Mark.POOR, text)
        return
    yield Check("models", Mark.GOOD, told)


def _disk(settings: Settings) -> Iterator[Check]:
    folders: dict[str, Path] = {"state": settings.state_dir}
    if "://" not in settings.storage:
        folders["storage"] = Path(settings.storage).expanduser()
    devices: set[int] = set()
    for name, folder in folders.items():
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if there.stat().st_dev in devices:
            continue
        devices.add(there.stat().st_dev)
        free = shutil.disk_usage(there).free
        mark = (
            Mark.BAD if free < NO_DISK_BYTES else Mark.POOR if free < LOW_DISK_BYTES else Mark.GOOD
        )
        mend = "" if mark is Mark.GOOD else " Make room, or move QUAYLINE_STATE_DIR."
        yield Check(f"disk ({name})", mark, f"{free / 1024 / MIB:.1f} GiB free at {there}.{mend}")


def _health(settings: Settings) -> Iterator[Check]:
    """What a worker found when it looked last; it may reach what this machine does not."""
    file = settings.database.removeprefix("sqlite:///")
    if file != settings.database and not Path(file).expanduser().exists():
        return
    try:
        database.open_database(settings.database, pool=2, timeout_s=settings.database_timeout_s)
        rows = [] if schema.pending() else health.latest()
    except QuaylineError:
        return  # It is told already.
    finally:
        database.close_database()
    for row in rows:
        mark = Mark(row.state)
        told = f"{row.message} ".lstrip() + f"Looked at {row.age_s:.0f} s ago."
        if row.age_s > OLD_HEALTH_S:
            mark = max(mark, Mark.POOR, key=list(Mark).index)
            told += " Do a scheduler and workers run?"
        yield Check(f"health of {row.name}", mark, told)


def _amount(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
