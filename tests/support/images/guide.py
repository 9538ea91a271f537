"""The image of the guide for submitters: its heartbeat client and its example service."""

from pathlib import Path
from typing import Any

from tests.support.images import base, recipes

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "guide"


def name() -> str:
    """Return the image's name, which follows its files."""
    told = [path.read_text() for path in sorted(FOLDER.iterdir()) if path.is_file()]
    return f"quayline-test-guide:{recipes.digest(base.name(), *told)}"


def build(client: Any, folder: Path) -> None:
    """The image is on the host."""
    recipe = (FOLDER / "guide.Dockerfile").read_text().replace("ARG BASE_IMAGE\n", "")
    recipe = recipe.replace("${BASE_IMAGE}", base.name())
    recipes.build(client, FOLDER, recipe, name())
