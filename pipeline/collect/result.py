"""How a run ended, as the service is told it and as ``result.json`` keeps it."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.collect.plainjson import plain

RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class Result:
    """Success with its figures, or an error in one sentence."""

    success: bool
    result_data: dict[str, Any] = field(default_factory=dict)
    error_message: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return dict(plain(asdict(self)))


def write_result(folder: Path, result: Result) -> None:
    """``result.json`` is there in full, in place of an earlier one, even after a power cut."""
    text = json.dumps(result.document(), ensure_ascii=False, allow_nan=False, indent=2)
    replace_file(folder / RESULT_FILE, text.encode())


def replace_file(path: Path, content: bytes) -> None:
    """The file holds the content; whoever looks meanwhile sees the old one or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
