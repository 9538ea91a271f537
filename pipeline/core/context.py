"""What every handler is given: the settings and the blob storage of this process."""

from dataclasses import dataclass

from pipeline import broker, events, tracing
from pipeline.errors import Refused, StorageUnavailable
from pipeline.settings import Settings, get_settings
from pipeline.store import database, schema
from pipeline.store.blobs import BlobStore


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of the work in one process."""

    settings: Settings
    blobs: BlobStore


_current: Context | None = None


def open_context(settings: Settings | None = None) -> Context:
    """Open the database (brought to this version's schema), the storage and the broker."""
    global _current
    if settings is None and _current is not None:
        return _current
    own_broker = settings is not None and settings is not get_settings()
    settings = settings or get_settings()
    blobs = open_storage(settings)
    tracing.begin(settings.tracing_url, settings.worker_name)
    database.open_database(
        settings.database, pool=settings.database_pool, timeout_s=settings.database_timeout_s
    )
    try:
        schema.migrate()
    except BaseException:
        database.close_database()
        raise
    # In a worker process the actors stand on the broker of the settings already.
    if own_broker:
        broker.use_broker(broker.make_broker(settings))
    else:
        broker.current_broker()
    _current = Context(settings, blobs)
    return _current


def open_storage(settings: Settings) -> BlobStore:
    """Return the storage of the settings; ``Refused`` when it cannot be one in this process."""
    try:
        return BlobStore(settings.storage)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StorageUnavailable(f"The blob storage cannot be opened: {why}.") from error
    except Exception as error:  # the drivers of fsspec raise what they like
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise Refused(f"The setting QUAYLINE_STORAGE_URL cannot be used: {why}.") from error


def current_settings() -> Settings:
    """Return the settings of the open context; where none is open, those of this process."""
    return _current.settings if _current is not None else get_settings()


def current_context() -> Context:
    """Return this process's context, opened from its settings at the first call."""
    return _current or open_context()


def is_open(context: Context) -> bool:
    """Tell whether the context is the open one; a thread of a closed one has nothing to do."""
    return context is _current


def close_context() -> None:
    """Close the database and the broker of this process."""
    global _current
    if _current is not None:
        events.close()
        broker.current_broker().close()
        broker.use_broker(None)
        database.close_database()
        tracing.end()
        _current = None
