"""The images of ``deploy/``, built by their own recipes, without an index and without a network."""

import shutil
from pathlib import Path
from typing import Any

from tests.support.images import python, recipes, wheels
from tests.support.images.wheels import ROOT

#: Recipe and target of each.
IMAGES = {
    "worker": ("deploy/Dockerfile", "worker"),
    "scheduler": ("deploy/Dockerfile", "scheduler"),
    "api": ("deploy/Dockerfile", "api"),
    "collect": ("deploy/collect/Dockerfile", None),
}
#: Every extra that one of the recipes installs.
EXTRAS = ("lint", "docker", "web", "services", "collect")
SOURCES = ("setup.cfg", "setup.py", "README.rst", "pipeline", "actors", "schedules")


def name(image: str) -> str:
    """Return the image's name, which follows the code and the recipe."""
    files = [ROOT / IMAGES[image][0], *_sources()]
    content = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    told = [str(file.relative_to(ROOT)) for file in files]
    recipe = recipes.digest(python.name(), *wheels.requirements(*EXTRAS), *told, *content)
    return f"quayline-test-deploy-{image}:{recipe}"


def build(client: Any, folder: Path, image: str) -> None:
    """The image is on the host."""
    recipe, target = IMAGES[image]
    recipes.build(
        client,
        _context(folder),
        (ROOT / recipe).read_text(encoding="utf-8"),
        name(image),
        target=target,
        network_mode="none",
        buildargs={
            "BASE_IMAGE": python.name(),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "/src",
        },
    )


def _context(folder: Path) -> Path:
    """Return a folder of what the recipes copy, the wheels among it."""
    context = folder / "deployed"
    shutil.rmtree(context, ignore_errors=True)
    for file in _sources():
        copy = context / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    shutil.copytree(wheels.gathered(folder, EXTRAS), context / "wheels", copy_function=_link)
    return context


def _link(source: str, copy: str) -> None:
    Path(copy).hardlink_to(source)


def _sources() -> list[Path]:
    found = [ROOT / each for each in SOURCES]
    inside = [file for each in found if each.is_dir() for file in each.rglob("*")]
    files = [each for each in (*found, *inside) if each.is_file()]
    return sorted(each for each in files if "__pycache__" not in each.parts)
