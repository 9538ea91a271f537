"""Every archive of the kit gets its typed answer, and neighbours of a bad entry survive."""

import io

import pytest

from pipeline.adapters.archives import open_archive
from pipeline.errors import Permanent, Refused
from pipeline.states import Reason
from tests.unit.adapters.archives.kit import CASES, TAR_CASES, ZIP_CASES, Case


def outcome(case: Case) -> tuple[dict[str, Reason | None], dict[str, bytes]]:
    """Reason and content of every member, whatever can be read."""
    found: dict[str, Reason | None] = {}
    contents: dict[str, bytes] = {}
    with open_archive(io.BytesIO(case.build()), case.limits) as archive:
        for member in archive:
            member.name.encode()
            assert 0 <= member.size_bytes < 2**63, "no database holds this number"
            try:
                contents[member.name] = member.read()
                found[member.name] = None
            except Permanent as error:
                found[member.name] = error.reason
    return found, contents


@pytest.mark.parametrize("case", [case for case in CASES if case.whole], ids=lambda case: case.id)
def test_the_whole_is_refused_with_its_reason(case: Case) -> None:
    with pytest.raises(Refused, match=r"\.$") as refusal:
        outcome(case)
    assert refusal.value.reason == case.whole


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.whole], ids=lambda case: case.id
)
def test_a_bad_entry_gets_its_reason_and_its_neighbours_are_read(case: Case) -> None:
    found, contents = outcome(case)
    assert found == case.entries
    assert case.contents.items() <= contents.items()


def test_the_kit_is_as_large_as_promised_and_names_each_case_once() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert sum(not case.id.startswith("healthy") for case in ZIP_CASES) >= 45
    assert sum(not case.id.startswith("healthy") for case in TAR_CASES) >= 15
