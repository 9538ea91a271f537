"""The sample shop: its archive, and what the embedded service finds in it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from pipeline import Client
from pipeline.settings import Settings

FOLDER = Path(__file__).parents[1] / "samples" / "shop"


def archive() -> bytes:
    """Return the sample shop as a ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for file in sorted(FOLDER.rglob("*")):
            if file.is_file():
                written.write(file, file.relative_to(FOLDER))
    return out.getvalue()


def violations(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the file and the rule of each violation of a SARIF report."""
    return sorted(
        (each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], each["ruleId"])
        for each in report["runs"][0]["results"]
    )


def linted_here(folder: Path) -> tuple[str, list[tuple[str, str]]]:
    """Return the state of the job and the violations as the embedded service tells them."""
    source = folder / "shop.zip"
    source.write_bytes(archive())
    with Client(Settings(state_dir=folder / "state")) as client:
        job = client.lint(source, dialect="postgres").wait(60)
        return job.status, violations(json.loads(job.report("sarif")))
