"""Wheels of what this project depends on, for the Python of the images, whatever runs the tests."""

import configparser
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.images import base, recipes

ROOT = Path(__file__).resolve().parents[3]
#: Newest C library first; the base has 2.36.
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
#: Pure Python that comes without a wheel.
SOURCES = ("jieba==0.42.1",)
#: What builds our own wheel.
BUILDERS = ("setuptools>=77", "wheel")
DOWNLOAD_TIMEOUT_S = 600


def requirements(*extras: str) -> list[str]:
    """Return what the project needs, with these extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    told = [setup["options"]["install_requires"]]
    told += [setup["options.extras_require"][each] for each in extras]
    lines = [line for text in told for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def gathered(folder: Path, extras: Sequence[str]) -> Path:
    """Return a folder of wheels with which the project is installed without an index."""
    wanted = [*BUILDERS, *requirements(*extras)]
    sources = SOURCES if "services" in extras else ()
    found = folder / f"wheels-{recipes.digest(*wanted, *sources, *PLATFORMS)}"
    if not found.exists():
        part = found.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for command in (*(_build(each, part) for each in sources), _download(wanted, part)):
            subprocess.run(command, check=True, timeout=DOWNLOAD_TIMEOUT_S, capture_output=True)
        part.rename(found)
    return found


def _build(source: str, folder: Path) -> list[str]:
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--use-pep517")
    return [*pip, "--no-deps", "--wheel-dir", str(folder), source]


def _download(wanted: Sequence[str], folder: Path) -> list[str]:
    platforms = [f"--platform={each}_{platform.machine()}" for each in PLATFORMS]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)),
        f"--find-links={folder}",
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={base.PYTHON_VERSION}"),
        *platforms,
        *wanted,
    ]
