"""The database collector between PostgreSQL, MariaDB and SQLite."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.collect.config import DatabaseConfig
from pipeline.collect.database.run import synchronise
from pipeline.collect.errors import CollectError, CollectFailed, ConfigRefused
from pipeline.collect.progress import Progress
from pipeline.collect.stopping import Stop
from tests.integration.collect.collectors import database
from tests.integration.collect.databases import DATABASE_ERRORS, execute, fill, rows
from tests.support.services import own_database
from tests.support.waiting import eventually

LEDGER = "SELECT body FROM quayline_sync_progress"
PAIRS = [("postgresql", "mariadb"), ("mariadb", "sqlite"), ("sqlite", "postgresql")]


@dataclass
class Databases:
    """The URLs of one empty database of each maker."""

    postgresql: str
    mariadb: str
    sqlite: str

    def __getitem__(self, maker: str) -> str:
        return str(getattr(self, maker))


@pytest.fixture
def urls(tmp_path: Path, mariadb: str) -> Iterator[Databases]:
    with own_database() as postgresql:
        yield Databases(postgresql, mariadb, f"sqlite:///{tmp_path / 'file.db'}")


def config(source: str, target: str, /, **more: Any) -> dict[str, Any]:
    """From the table ``source`` to the table ``target``, which is made."""
    told = {
        "source": {"url": source, "table": "source", **more.pop("source", {})},
        "target": {"url": target, "table": "target", "create_table": True} | more.pop("target", {}),
    }
    return told | more


def sync(told: dict[str, Any], execution_id: str | None = None) -> dict[str, Any]:
    parsed = DatabaseConfig.model_validate(told)
    return synchronise(parsed, execution_id or str(uuid.uuid4()), Progress(), Stop())


def make(url: str, count: int, columns: str = "id BIGINT PRIMARY KEY, name VARCHAR(100)") -> None:
    execute(url, f"CREATE TABLE source ({columns})")
    if count:
        fill(url, "source", "id, name", [(number, f"n{number}") for number in range(count)])


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_all_rows_arrive_and_are_counted(urls: Databases, source: str, target: str) -> None:
    make(urls[source], 2500)

    told = sync(config(urls[source], urls[target], checks={"key_checksum": True}))

    assert rows(urls[target], "SELECT id, name FROM target ORDER BY id") == [
        (number, f"n{number}") for number in range(2500)
    ]
    assert (told["processed_records"], told["source_count"], told["target_count"]) == (2500,) * 3
    assert len(told["key_checksum"]) == 32


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_full_run_again_brings_changes_and_doubles_nothing(
    urls: Databases, source: str, target: str
) -> None:
    make(urls[source], 50)
    told = config(urls[source], urls[target])
    sync(told)
    execute(
        urls[source],
        "UPDATE source SET name = 'changed' WHERE id = 7",
        "INSERT INTO source VALUES (50, 'new')",
    )

    sync(told)

    assert rows(urls[target], "SELECT COUNT(*) FROM target") == [(51,)]
    assert rows(urls[target], "SELECT name FROM target WHERE id IN (7, 50) ORDER BY id") == [
        ("changed",),
        ("new",),
    ]


def test_every_type_survives_the_round_through_all_makers(urls: Databases) -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    columns = """id BIGINT PRIMARY KEY, small SMALLINT, price NUMERIC(20,4), free DOUBLE PRECISION,
        words TEXT, zoned TIMESTAMPTZ, plain TIMESTAMP, day DATE, clock TIME, raw BYTEA, doc JSONB,
        yes BOOLEAN, tags INT[], one UUID, span INTERVAL"""
    names = (
        "id, small, price, free, words, zoned, plain, day, clock, raw, doc, yes, tags, one, span"
    )
    full = (
        *(-(2**63), -5, Decimal("-1234567890123456.7891"), 0.1 + 0.2, '漢字 𝄞 %s \' \\ "x"\n'),
        *(moment, moment.replace(tzinfo=None), date(1, 1, 1), time(1, 2, 3, 4)),
        *(bytes(range(256)), json.dumps({"a": [1.5, None, "𝄞"]}), True, [1, 2]),
        *(uuid.UUID(int=7), timedelta(days=3, seconds=1)),
    )
    execute(urls.postgresql, f"CREATE TABLE source ({columns})")
    fill(urls.postgresql, "source", names, [full, (2, *[None] * 14)])

    sync(config(urls.postgresql, urls.mariadb, target={"table": "one"}))
    sync(config(urls.mariadb, urls.sqlite, source={"table": "one"}, target={"table": "two"}))
    # The last one has the columns as PostgreSQL had them.
    execute(urls.postgresql, f"CREATE TABLE target ({columns})")
    sync(config(urls.sqlite, urls.postgresql, source={"table": "two"}))

    same = f"SELECT {names} FROM source EXCEPT SELECT {names} FROM target"
    assert rows(urls.postgresql, same) == []
    assert rows(urls.postgresql, "SELECT COUNT(*) FROM target") == [(2,)]


def test_types_of_mariadb_survive_in_postgresql(urls: Databases) -> None:
    execute(
        urls.mariadb,
        """CREATE TABLE source (id BIGINT UNSIGNED PRIMARY KEY, f FLOAT, b BIT(1), n BIT(9),
        t TINYINT(1), e ENUM('z', 'a'), ts TIMESTAMP(3) NULL, dt DATETIME, y YEAR, tm TIME,
        d DECIMAL(65,30), bl LONGBLOB, tx LONGTEXT)""",
        """INSERT INTO source VALUES (18446744073709551615, 16777216, 1, 257, 1, 'z',
        '2024-03-31 02:30:00.5', '2024-03-31 02:30:00', 1999, '12:34:56', 0.1, 0x00ff, '𝄞')""",
    )

    sync(config(urls.mariadb, urls.postgresql))

    assert rows(urls.postgresql, "SELECT * FROM target") == [
        (
            *(Decimal(2**64 - 1), 16777216.0, True, Decimal(257), True, "z"),
            datetime(2024, 3, 31, 2, 30, 0, 500000, tzinfo=UTC),
            *(
                datetime.fromisoformat("2024-03-31 02:30:00"),
                1999,
                time(12, 34, 56),
                Decimal("0.1"),
            ),
            *(b"\x00\xff", "𝄞"),
        )
    ]


def test_value_that_would_lose_something_is_a_failure(urls: Databases) -> None:
    make(urls.sqlite, 0, "id BIGINT PRIMARY KEY, name")
    fill(urls.sqlite, "source", "id, name", [(1, "5"), (2, "five")])
    execute(urls.postgresql, "CREATE TABLE target (id BIGINT PRIMARY KEY, name INTEGER)")

    with pytest.raises(CollectFailed, match="integer column 'name'"):
        sync(config(urls.sqlite, urls.postgresql))

    assert rows(urls.postgresql, "SELECT * FROM target") == []


@pytest.mark.parametrize("target", ["postgresql", "mariadb"])
@pytest.mark.parametrize(
    ("column", "fits", "bent"),
    [
        ("NUMERIC(10,2)", "1.23", "1.239"),
        ("TIMESTAMP(0)", "2024-01-01 00:00:01", "2024-01-01 00:00:01.6"),
        ("TIME(3)", "01:02:03.125", "01:02:03.1256"),
    ],
)
def test_value_is_not_rounded_to_the_digits_of_its_column(
    urls: Databases, target: str, column: str, fits: str, bent: str
) -> None:
    make(urls.sqlite, 0, "id BIGINT PRIMARY KEY, name TEXT")
    execute(urls[target], f"CREATE TABLE target (id BIGINT PRIMARY KEY, name {column} NULL)")
    fill(urls.sqlite, "source", "id, name", [(1, fits)])
    sync(config(urls.sqlite, urls[target]))
    fill(urls.sqlite, "source", "id, name", [(2, bent)])

    with pytest.raises(CollectFailed, match="column 'name'"):
        sync(config(urls.sqlite, urls[target]))

    assert rows(urls[target], "SELECT id FROM target") == [(1,)]


def test_names_are_quoted_whatever_they_are(urls: Databases) -> None:
    odd = 'we"ird `na%sme; --'
    for url, quote in ((urls.postgresql, '"'), (urls.mariadb, "`")):
        name = odd.replace(quote, quote * 2)
        execute(
            url, f"CREATE TABLE {quote}{name}{quote} (id INT PRIMARY KEY, {quote}{name}{quote} INT)"
        )
    fill(urls.postgresql, '"we""ird `na%%sme; --"', 'id, "we""ird `na%%sme; --"', [(1, 2)])

    for source, target in ((urls.postgresql, urls.mariadb), (urls.mariadb, urls.sqlite)):
        sync(config(source, target, source={"table": [odd]}, target={"table": [odd]}))

    quoted = odd.replace('"', '""')
    assert rows(urls.sqlite, f'SELECT * FROM "{quoted}"') == [(1, 2)]


def test_query_with_mapped_columns_and_two_keys(urls: Databases) -> None:
    make(urls.mariadb, 20)
    query = "SELECT id % 4 AS a, id AS b, name, 'x%' AS c FROM source WHERE name LIKE 'n1%';"
    told = config(urls.mariadb, urls.postgresql, key_columns=["a", "b"], batch_size=2)
    told["source"] = {"url": urls.mariadb, "query": query}
    told["columns"] = {"a": "left", "b": "right", "c": "sign"}

    figures = sync(told)

    found = rows(urls.postgresql, 'SELECT "left", "right", sign FROM target ORDER BY "right"')
    assert found == [(n % 4, n, "x%") for n in (1, *range(10, 20))]
    assert figures["processed_records"] == 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key_columns": ["name"]}, "same key"),
        ({"key_columns": ["maybe"]}, "NULL"),
        ({"key_columns": ["nothing"]}, "no column 'nothing'"),
        ({"columns": ["name"]}, "has to be among the columns"),
        ({"columns": {"id": "x", "name": "x"}}, "same column"),
        ({"source": {"table": "nowhere"}}, "no table nowhere"),
        ({"target": {"create_table": False}}, "create_table"),
        ({"target": {"url": "sqlite:////nowhere/at/all.db"}}, "SQLite"),
        ({"source": {"url": "sqlite:////nowhere/at/all.db"}}, "SQLite"),
        ({"source": {"url": {"env": "NOT_SET_ANYWHERE"}}}, "NOT_SET_ANYWHERE"),
    ],
)
def test_what_cannot_be_copied_safely_is_refused(
    urls: Databases, change: dict[str, Any], message: str
) -> None:
    make(urls.sqlite, 0, "id BIGINT PRIMARY KEY, name TEXT, maybe TEXT")
    fill(urls.sqlite, "source", "id, name, maybe", [(1, "a", None), (2, "a", "b")])

    with pytest.raises(CollectError, match=message):
        sync(config(urls.sqlite, urls.postgresql, **change))


def test_target_without_a_unique_index_on_the_key_is_refused(urls: Databases) -> None:
    make(urls.sqlite, 3)
    for target in (urls.postgresql, urls.mariadb):
        execute(target, "CREATE TABLE target (id BIGINT, name VARCHAR(100))")

        with pytest.raises(ConfigRefused, match="unique index"):
            sync(config(urls.sqlite, target))


def test_rows_that_only_the_target_has_are_found(urls: Databases) -> None:
    make(urls.sqlite, 3)
    told = config(urls.sqlite, urls.mariadb)
    sync(told)
    execute(urls.sqlite, "DELETE FROM source WHERE id = 1")

    with pytest.raises(CollectFailed, match="2 rows and the target 3"):
        sync(told)
    execute(urls.sqlite, "INSERT INTO source VALUES (9, 'n')")
    with pytest.raises(CollectFailed, match="keys of source and target"):
        sync({**told, "checks": {"count": "report", "key_checksum": True}})


def test_keys_that_differ_in_case_or_spaces_stay_two(urls: Databases) -> None:
    make(urls.postgresql, 0, "id TEXT PRIMARY KEY, name TEXT")
    keys = ["a", "A", "a ", "ä", "Ä"]
    fill(urls.postgresql, "source", "id, name", [(key, key) for key in keys])

    sync(config(urls.postgresql, urls.mariadb, batch_size=1, checks={"key_checksum": True}))

    assert rows(urls.mariadb, "SELECT COUNT(*) FROM target") == [(5,)]


@pytest.mark.parametrize("key", ["email", "code"])
def test_row_of_another_key_is_never_replaced(urls: Databases, key: str) -> None:
    """By a second unique index, or by a key that differs in nothing but case."""
    execute(urls.sqlite, "CREATE TABLE source (code TEXT PRIMARY KEY, email TEXT, n INTEGER)")
    execute(
        urls.mariadb,
        "CREATE TABLE target (code VARCHAR(9) PRIMARY KEY, email VARCHAR(9) UNIQUE, n INT)"
        " COLLATE utf8mb4_general_ci",
    )
    told = config(urls.sqlite, urls.mariadb, checks={"count": "report"})
    fill(urls.sqlite, "source", "code, email, n", [("a", "a@x", 1), ("b", "b@x", 2)])
    sync(told)
    execute(urls.sqlite, "DELETE FROM source", "INSERT INTO source VALUES ('a', 'new@x', 3)")
    sync(told)
    other = ("c", "NEW@x", 4) if key == "email" else ("A", "c@x", 4)
    fill(urls.sqlite, "source", "code, email, n", [other])

    with pytest.raises(CollectFailed, match="another key is in the way"):
        sync(told)

    assert rows(urls.mariadb, "SELECT code, email, n FROM target ORDER BY code") == [
        ("a", "new@x", 3),
        ("b", "b@x", 2),
    ]


def test_target_whose_key_does_not_know_case_is_refused(urls: Databases) -> None:
    make(urls.mariadb, 2, "id VARCHAR(9) PRIMARY KEY, name VARCHAR(9)")
    execute(urls.sqlite, "CREATE TABLE target (id TEXT COLLATE NOCASE PRIMARY KEY, name TEXT)")
    execute(
        urls.postgresql,
        "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false)",
        "CREATE TABLE target (id TEXT COLLATE any_case PRIMARY KEY, name TEXT)",
    )
    for target in (urls.sqlite, urls.postgresql):
        with pytest.raises(ConfigRefused, match="differ in case"):
            sync(config(urls.mariadb, target))


MARKED = "id BIGINT PRIMARY KEY, name VARCHAR(100), changed_at TIMESTAMP"


def incremental(urls: Databases, source: str, target: str, **more: Any) -> dict[str, Any]:
    told = {"mode": "incremental", "watermark_column": "changed_at", **more}
    return config(urls[source], urls[target], **told)


def mark(second: int) -> str:
    return f"2024-01-01 00:00:{second:02d}"


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_incremental_run_takes_equal_watermarks_without_loss_or_doubles(
    urls: Databases, source: str, target: str
) -> None:
    url = urls[source]
    execute(url, f"CREATE TABLE source ({MARKED})")
    fill(url, "source", "id, name, changed_at", [(n, "old", mark(n // 10)) for n in range(10, 40)])
    told = incremental(urls, source, target, batch_size=7)
    first = sync(told)
    # Later, with the last watermark and a lower key; and two that are newer.
    fill(url, "source", "id, name, changed_at", [(1, "late", mark(3)), (2, "new", mark(4))])
    execute(url, f"UPDATE source SET name = 'new', changed_at = '{mark(5)}' WHERE id = 12")

    second = sync(told)

    assert first["processed_records"] == 30
    # Ten of the last watermark once more, and the three.
    assert second["processed_records"] == 13
    assert rows(urls[target], "SELECT COUNT(*) FROM target") == [(32,)]
    found = rows(urls[target], "SELECT id FROM target WHERE name <> 'old' ORDER BY id")
    assert found == [(1,), (2,), (12,)]


def test_incremental_run_says_what_it_cannot_see(urls: Databases) -> None:
    execute(urls.sqlite, f"CREATE TABLE source ({MARKED})")
    fill(urls.sqlite, "source", "id, name, changed_at", [(1, "a", None), (2, "b", mark(1))])

    told = sync(incremental(urls, "sqlite", "postgresql"))

    assert (told["rows_without_watermark"], told["processed_records"]) == (1, 1)
    assert (told["source_count"], told["target_count"]) == (2, 1)


def test_overlap_goes_back_for_rows_that_were_committed_late(urls: Databases) -> None:
    execute(urls.postgresql, f"CREATE TABLE source ({MARKED})")
    fill(urls.postgresql, "source", "id, name, changed_at", [(1, "a", mark(30))])
    told = incremental(urls, "postgresql", "mariadb", overlap=10)
    sync(told)
    late = [(2, "late", mark(21)), (3, "too late", mark(19))]
    fill(urls.postgresql, "source", "id, name, changed_at", late)

    sync(told)

    assert rows(urls.mariadb, "SELECT id FROM target ORDER BY id") == [(1,), (2,)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_row_of_the_future_hides_no_row_of_today(urls: Databases, source: str, target: str) -> None:
    url = urls[source]
    execute(url, f"CREATE TABLE source ({MARKED})")
    future = [(1, "a", mark(1)), (2, "typo", "2037-01-01 00:00:00")]
    fill(url, "source", "id, name, changed_at", future)
    told = incremental(urls, source, target)
    sync(told)
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    fill(url, "source", "id, name, changed_at", [(3, "today", now)])

    again = sync(told)

    assert rows(urls[target], "SELECT id FROM target ORDER BY id") == [(1,), (2,), (3,)]
    assert again["processed_records"] == 2


def test_sources_of_two_schemas_keep_a_watermark_each(urls: Databases) -> None:
    told = incremental(
        urls, "postgresql", "mariadb", key_columns=["id"], checks={"count": "report"}
    )
    for schema, value in (("one", 1), ("two", 0)):
        execute(
            urls.postgresql,
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {schema}.source ({MARKED})",
            f"INSERT INTO {schema}.source VALUES ({value}, 'x', '{mark(value)}')",
        )
        query = f"?options=-csearch_path%3D{schema}"
        told["source"] = {"url": urls.postgresql + query, "query": "SELECT * FROM source"}
        sync(told)

    assert rows(urls.mariadb, "SELECT id FROM target ORDER BY id") == [(0,), (1,)]


def test_row_behind_the_position_of_a_killed_run_comes_with_the_next(urls: Databases) -> None:
    execute(urls.sqlite, f"CREATE TABLE source ({MARKED})")
    fill(urls.sqlite, "source", "id, name, changed_at", [(5, "a", mark(1)), (6, "b", mark(2))])
    told = incremental(urls, "sqlite", "postgresql", sync_name="s")
    sync(told, "one")
    # As a kill after the first row leaves it.
    body = json.loads(rows(urls.postgresql, LEDGER)[0][0])
    body |= {"finished": False, "checked": None, "position": [mark(1), 5], "rows": 1}
    execute(urls.postgresql, f"UPDATE quayline_sync_progress SET body = '{json.dumps(body)}'")
    fill(urls.sqlite, "source", "id, name, changed_at", [(1, "behind", mark(1))])

    sync(told, "one")
    sync(told, "two")

    assert rows(urls.postgresql, "SELECT id FROM target ORDER BY id") == [(1,), (5,), (6,)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_full_copy_that_went_on_is_of_one_moment(urls: Databases, source: str, target: str) -> None:
    columns = "a INT, b VARCHAR(9), name VARCHAR(100), PRIMARY KEY (a, b)"
    execute(urls[source], f"CREATE TABLE source ({columns})")
    values = [(n // 4, f"k{n % 4}", "old") for n in range(40)]
    fill(urls[source], "source", "a, b, name", values)
    told = config(urls[source], urls[target], sync_name="s", batch_size=4)
    sync(told, "one")
    # As a kill after half of the rows leaves it.
    body = json.loads(rows(urls[target], LEDGER)[0][0])
    body |= {"finished": False, "checked": None, "position": [5, "k2"], "rows": 23}
    execute(urls[target], f"UPDATE quayline_sync_progress SET body = '{json.dumps(body)}'")
    execute(
        urls[source],
        "UPDATE source SET name = 'new' WHERE a = 2",
        "INSERT INTO source VALUES (0, 'k9', 'new')",
    )

    figures = sync(told, "one")

    assert figures["processed_records"] == figures["target_count"] == 41
    query = "SELECT a, b, name FROM {} ORDER BY a, b"
    assert rows(urls[target], query.format("target")) == rows(urls[source], query.format("source"))


def test_run_that_failed_its_checks_copies_again(urls: Databases) -> None:
    make(urls.sqlite, 3)
    told = config(urls.sqlite, urls.postgresql)
    sync(told, "one")
    execute(urls.sqlite, "DELETE FROM source WHERE id = 1")
    with pytest.raises(CollectFailed, match="2 rows and the target 3"):
        sync(told, "two")
    execute(urls.sqlite, "INSERT INTO source VALUES (7, 'n7')")
    execute(urls.postgresql, "DELETE FROM target WHERE id = 1")

    figures = sync(told, "two")

    assert figures["target_count"] == 3
    # Started again after its end it says the same, whatever has come since.
    execute(urls.sqlite, "INSERT INTO source VALUES (8, 'n8')")
    assert sync(told, "two") == figures


@pytest.mark.parametrize("mode", ["full", "incremental"])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_killed_synchronisation_goes_on_without_loss_or_doubles(
    urls: Databases, tmp_path: Path, source: str, target: str, mode: str
) -> None:
    url, count = urls[source], 12_000
    execute(url, f"CREATE TABLE source ({MARKED})")
    values = [(n, f"n{n}", mark(n % 3)) for n in range(count)]
    fill(url, "source", "id, name, changed_at", values)
    told = config(url, urls[target]) if mode == "full" else incremental(urls, source, target)
    # A row a batch: it is at work for long enough to be seen at it, on a busy machine as well.
    run = database(tmp_path, {**told, "batch_size": 1, "checks": {"key_checksum": True}})
    seen = 0
    for _ in range(2):
        with run.started() as process:
            more = partial(_more, urls[target], seen, process)
            seen = eventually(more, within_s=30, what="more rows")
            run.kill(process)
    body = json.loads(rows(urls[target], LEDGER)[0][0])
    assert not body["finished"]
    assert body["rows"] == rows(urls[target], "SELECT COUNT(*) FROM target")[0][0]

    run.document["database_config"]["batch_size"] = 1000
    code, said = run.run()

    assert code == 0, said
    figures = run.result()["result_data"]
    # Counted by the ledger: each row was written once.
    assert figures["processed_records"] == count
    assert figures["target_count"] == figures["source_count"] == count
    found = rows(urls[target], "SELECT id, name FROM target ORDER BY id")
    assert found == [(n, f"n{n}") for n in range(count)]


def _more(url: str, seen: int, process: subprocess.Popen[str]) -> int:
    """The rows written so far, once there are more than were seen by a run that still goes on."""
    assert process.poll() is None, process.communicate()
    try:
        body = json.loads(rows(url, LEDGER)[0][0])
    except (*DATABASE_ERRORS, IndexError):
        return 0
    return int(body["rows"]) if body["rows"] > seen and not body["finished"] else 0


def test_two_runs_at_once_do_not_write_over_each_other(urls: Databases) -> None:
    make(urls.sqlite, 30)
    told = config(urls.sqlite, urls.postgresql, batch_size=10, sync_name="s")
    sync(told, "one")
    execute(urls.postgresql, "UPDATE quayline_sync_progress SET version = 1 WHERE name = 's'")
    execute(
        urls.postgresql,
        # Whoever writes finds that somebody has written just before.
        """CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE quayline_sync_progress SET version = version + 1; RETURN NEW; END $$""",
        "CREATE TRIGGER bump BEFORE INSERT ON target EXECUTE FUNCTION bump()",
    )

    with pytest.raises(CollectFailed, match="Another run"):
        sync(told, "two")


@pytest.mark.parametrize("target", ["postgresql", "mariadb"])
def test_lost_connection_is_made_again(urls: Databases, tmp_path: Path, target: str) -> None:
    url = urls[target]
    make(urls.sqlite, 3_000)
    run = database(tmp_path, config(urls.sqlite, url, batch_size=1))
    with run.started() as process:
        eventually(lambda: _more(url, 0, process), within_s=30)
        assert _cut(url) > 0
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, out[-2000:] + err
    assert "trying again" in out
    assert rows(url, "SELECT COUNT(*) FROM target") == [(3_000,)]
    assert run.result()["result_data"]["processed_records"] == 3_000


def _cut(url: str) -> int:
    """The connections to the database, but this one, are ended; returns their number."""
    if url.startswith("postgresql"):
        terminate = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'quayline-collect' AND datname = current_database()"""
        return len(rows(url, terminate))
    found = "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
    others = rows(url, f"{found} AND id <> CONNECTION_ID()")
    execute(url, *(f"KILL CONNECTION {number}" for (number,) in others))
    return len(others)


def test_term_ends_at_the_next_batch_and_says_how_far(urls: Databases, tmp_path: Path) -> None:
    make(urls.mariadb, 12_000)
    run = database(tmp_path, config(urls.mariadb, urls.postgresql, batch_size=1))
    with run.started() as process:
        eventually(lambda: _more(urls.postgresql, 0, process), within_s=30)
        process.terminate()
        process.communicate(timeout=9)

    assert process.returncode == 143
    told = run.result()["result_data"]["processed_records"]
    assert 0 < told < 12_000
    assert rows(urls.postgresql, "SELECT COUNT(*) FROM target") == [(told,)]


def test_wrong_password_is_a_failure_that_does_not_show_it(urls: Databases, tmp_path: Path) -> None:
    make(urls.sqlite, 1)
    wrong = urls.mariadb.replace("quayline:quayline@", "quayline:wr0ng-secret@")
    run = database(tmp_path, config(urls.sqlite, wrong))

    code, said = run.run()

    assert code == 1, said
    assert "denied" in run.result()["error_message"]
    assert "wr0ng-secret" not in said + (run.output / "result.json").read_text()


def test_password_from_the_environment_wins(urls: Databases, tmp_path: Path) -> None:
    make(urls.sqlite, 3)
    bare = urls.mariadb.replace("quayline:quayline@", "quayline@")
    password = {"url": bare, "password": {"env": "SYNC_PASSWORD"}}
    run = database(tmp_path, config(urls.sqlite, urls.mariadb, target=password))
    run.environment["SYNC_PASSWORD"] = "quayline"

    code, said = run.run()

    assert code == 0, said
    assert rows(urls.mariadb, "SELECT COUNT(*) FROM target") == [(3,)]
