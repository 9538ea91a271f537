"""Files that would take all time or memory end within their budget, typed, and alone.

CI runs a part with a short budget; ``python -m tests.integration.sqlfluff.measure bombs`` runs all.
"""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.integration.sqlfluff import bombs
from tests.integration.sqlfluff.arsenal import BOMBS
from tests.integration.sqlfluff.bombs import Blast

LIMIT_S = 1.0
STEP = 4
CODE = (
    "import json, sys\n"
    "from tests.integration.sqlfluff.bombs import explode\n"
    "print(explode(float(sys.argv[1]), json.loads(sys.argv[2])).told())\n"
)
SOUND = Blast(bombs=3, neighbours=3, grown_mib=5, limit_s=1.0)


def test_bombs_end_in_time_and_typed_and_their_owner_does_not_grow() -> None:
    names = list(BOMBS)[::STEP]
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(LIMIT_S), json.dumps(names)],
        stdout=subprocess.PIPE,
        check=True,
    )
    found = Blast.of(done.stdout.decode())
    assert found.bombs == len(names)
    assert found.sound, [str(found), *found.wrong]
    assert {"time_limit", "out_of_memory"} <= found.reasons.keys(), "none of them was a bomb"


@pytest.mark.parametrize("bad", [{"wrong": ["x"]}, {"neighbours": 2}, {"grown_mib": 64}])
def test_each_figure_can_fail_the_measure(bad: dict[str, object]) -> None:
    assert SOUND.sound
    assert not replace(SOUND, **bad).sound  # type: ignore[arg-type]


def test_late_and_untyped_endings_are_told() -> None:
    found = Blast(limit_s=1.0)
    bombs._judge(found, "late", [], 9.0)
    assert found.wrong == ["late: 9.0 s"]
