"""Hostile archives through the whole expansion on PostgreSQL, whose columns are the narrowest."""

from pathlib import Path
from random import Random

from tests.support.services import own_database
from tests.unit.adapters.archives.arena import arena
from tests.unit.adapters.archives.deforming import deformed
from tests.unit.adapters.archives.kit import CASES

DEFORMED = 100


def test_hostile_archives_leave_rows_and_typed_reasons_only(tmp_path: Path) -> None:
    with own_database() as url, arena(tmp_path, database_url=url) as around:
        for case in CASES:
            around.expand(case.build())
        for seed in range(DEFORMED):
            around.expand(deformed(Random(seed)))
        assert around.tracebacks.seen == []
        assert around.strays() == []
