"""Which columns go where, as config and databases say it together."""

# ruff: noqa: S608 - names are quoted here, values are parameters

from dataclasses import dataclass

from pipeline.collect.config.database import DatabaseConfig
from pipeline.collect.database.columns import Column
from pipeline.collect.database.connection import Connection
from pipeline.collect.database.opening import table_name
from pipeline.collect.errors import ConfigRefused


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read: ``columns`` in their order, the first ``written`` of which go over.

    ``keys`` and ``order`` are places in them; rows come sorted by ``order``: watermark, then keys.
    """

    relation: str
    columns: list[Column]
    targets: list[str]
    keys: list[int]
    order: list[int]
    keys_known_unique: bool

    @property
    def written(self) -> int:
        """How many of the columns the target has."""
        return len(self.targets)

    def names(self, places: list[int]) -> list[str]:
        """Return the names that columns have in the target."""
        return [self.targets[place] for place in places]


def read_layout(config: DatabaseConfig, source: Connection) -> Layout:
    """Return the layout; raises ``ConfigRefused`` where config and source do not fit together."""
    relation = _relation(config, source)
    found = {each.name: each for each in source.describe(f"SELECT * FROM {relation}")}
    mapping = _mapping(config, list(found))
    keys, primary = _keys(config, source)
    watermark = [config.watermark_column] if config.watermark_column else []
    for name in (*mapping, *keys, *watermark):
        if name not in found:
            raise ConfigRefused(f"The source has no column {name!r}; it has {', '.join(found)}.")
    for name in keys:
        if name not in mapping:
            raise ConfigRefused(f"The key column {name!r} has to be among the columns.")
    if len(set(mapping.values())) < len(mapping):
        raise ConfigRefused("Two columns go into the same column of the target.")
    read = [*mapping, *(name for name in watermark if name not in mapping)]
    return Layout(
        relation=relation,
        columns=[found[name] for name in read],
        targets=list(mapping.values()),
        keys=[read.index(name) for name in keys],
        order=[read.index(name) for name in dict.fromkeys((*watermark, *keys))],
        keys_known_unique=primary,
    )


def _relation(config: DatabaseConfig, source: Connection) -> str:
    if config.source.query is not None:
        query = config.source.query.strip().rstrip(";")
        return f"(\n{source.literal(query)}\n) AS source"
    assert config.source.table is not None
    table = table_name(config.source.table)
    if not source.exists(table):
        raise ConfigRefused(f"The source has no table {'.'.join(table)}.")
    return source.table(table)


def _mapping(config: DatabaseConfig, found: list[str]) -> dict[str, str]:
    if isinstance(config.columns, dict):
        return dict(config.columns)
    return {name: name for name in config.columns or found}


def _keys(config: DatabaseConfig, source: Connection) -> tuple[list[str], bool]:
    """The key columns, and whether the source promises that they tell its rows apart."""
    table = config.source.table
    known = source.unique_keys(table_name(table)) if table is not None else []
    primary = next((list(key.columns) for key in known if key.primary), [])
    keys = list(config.key_columns) or primary
    if not keys:
        raise ConfigRefused("The source tells no primary key: give key_columns.")
    if len(set(keys)) < len(keys):
        raise ConfigRefused("key_columns names a column twice.")
    return keys, set(keys) == set(primary)
