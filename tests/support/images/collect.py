"""The collectors' image: the base, the wheels of the extra ``collect``, this project's code."""

import configparser
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.images import base, recipes

ROOT = Path(__file__).resolve().parents[3]
#: What the collectors import besides their extra.
SHARED = ("orjson", "psycopg", "pydantic", "tenacity")
#: Newest C library first; the base has 2.36.
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
INSTALL_TIMEOUT_S = 600
_DEPENDENCIES = """\
FROM {base}
COPY wheels /opt/quayline
ENV PYTHONPATH=/opt/quayline PYTHONUNBUFFERED=1 PYTHONUTF8=1
WORKDIR /app
CMD ["python3", "-m", "pipeline.collect"]
"""
_CODE = """\
FROM {dependencies}
COPY pipeline /opt/quayline/pipeline
"""


def dependencies_name() -> str:
    """Return the name of the image without our code."""
    recipe = recipes.digest(base.name(), _DEPENDENCIES, *_requirements(), *PLATFORMS)
    return f"quayline-test-collect-wheels:{recipe}"


def name() -> str:
    """Return the image's name, which follows the code."""
    files = _sources()
    content = [file.read_text(encoding="utf-8") for file in files]
    recipe = recipes.digest(dependencies_name(), _CODE, *map(str, files), *content)
    return f"quayline-test-collect:{recipe}"


def build_dependencies(client: Any, folder: Path) -> None:
    """The image without our code is on the host."""
    context = folder / "collect-wheels"
    shutil.rmtree(context, ignore_errors=True)
    wheels = context / "wheels"
    wheels.mkdir(parents=True)
    subprocess.run(
        _pip(wheels), check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True, cwd=ROOT
    )
    recipe = _DEPENDENCIES.format(base=base.name())
    recipes.build(client, context, recipe, dependencies_name())
    shutil.rmtree(context)


def build(client: Any, folder: Path) -> None:
    """The image is on the host."""
    context = folder / "collect-code"
    shutil.rmtree(context, ignore_errors=True)
    for file in _sources():
        copy = context / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, copy)
    recipes.build(client, context, _CODE.format(dependencies=dependencies_name()), name())
    shutil.rmtree(context)


def _sources() -> list[Path]:
    found = [*(ROOT / "pipeline").glob("*.py"), *(ROOT / "pipeline" / "collect").rglob("*")]
    return sorted(
        file.relative_to(ROOT)
        for file in found
        if file.is_file() and file.suffix in (".py", ".json", ".sql")
    )


def _requirements() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    shared = [
        line
        for line in _lines(setup["options"]["install_requires"])
        if line.partition("[")[0].partition(">")[0].strip() in SHARED
    ]
    return shared + _lines(setup["options.extras_require"]["collect"])


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _pip(target: Path) -> list[str]:
    machine = platform.machine()
    platforms = [f"--platform={each}_{machine}" for each in PLATFORMS]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={base.PYTHON_VERSION}"),
        *platforms,
        *_requirements(),
    ]
