"""What a service is given beside its input."""

from typing import Any

import pytest

from pipeline.kinds.service.runs import Run
from pipeline.kinds.service.surroundings import MOST_CHECKPOINT_BYTES, MOST_TOKENS, Surroundings


class Told(list[tuple[str, Any]]):
    def note(self, word: str, value: Any) -> None:
        self.append((word, value))


def surroundings(told: Told, *, stopped: bool = False) -> Surroundings:
    run = Run("t", "j", 1, "chat", "s", "task", "ann", 1, {}, {"language": "zh"})
    return Surroundings(run, told.note, lambda: stopped)


def test_submitters_context_is_a_mapping() -> None:
    given = surroundings(Told())
    assert (given["language"], given.get("model"), "language" in given) == ("zh", None, True)
    with pytest.raises(KeyError):
        given["model"]


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.5, 0.5), (-1, 0.0), (7, 1.0), (float("nan"), None), (None, None)]
)
def test_progress_lies_between_0_and_1(fraction: float | None, kept: float | None) -> None:
    told = Told()
    surroundings(told).progress(fraction, "text", page=1)
    assert told == [
        ("progress", {"fraction": kept, "message": "text", "details": {"page": 1}}),
    ]


def test_checkpoint_is_what_it_was_when_it_was_saved() -> None:
    told = Told()
    state = {"step": 1}
    surroundings(told).save_checkpoint(state)
    state["step"] = 2
    assert told == [("checkpoint", '{"step":1}')]
    with pytest.raises(ValueError, match="takes more than"):
        surroundings(told).save_checkpoint("x" * MOST_CHECKPOINT_BYTES)


def test_folder_is_made_when_it_is_needed_and_gone_afterwards() -> None:
    told = Told()
    given = surroundings(told)
    with given.open("a.txt", "w") as file:
        file.write("x")
    folder = given.folder
    assert folder.is_dir()
    assert told == [("file", {"name": "a.txt", "mode": "w"})]
    given.close()
    assert not folder.exists()
    with pytest.raises(RuntimeError, match="The run is over"):
        given.open("b.txt", "w")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
def test_nothing_outside_the_folder_is_opened(path: str) -> None:
    given = surroundings(Told())
    with pytest.raises(PermissionError, match="does not lie in the folder"):
        given.open(path)
    given.close()


def test_who_was_told_to_stop_is_known() -> None:
    given = surroundings(Told(), stopped=True)
    assert not given.saw_stop
    assert given.cancelled()
    assert given.saw_stop


@pytest.mark.parametrize(("tokens", "kept"), [(9, 9), (-1, 0), (2**70, MOST_TOKENS), (1.9, 1)])
def test_tokens_are_numbers_that_can_be_added_up(tokens: int, kept: int) -> None:
    told = Told()
    surroundings(told).note_model("m", input_tokens=tokens, output_tokens=0)
    assert told == [("model", {"model": "m", "input": kept, "output": 0})]
