"""The collectors' image: the base, the wheels of the extra ``collect``, this project's code."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.images import base, recipes, wheels
from tests.support.images.wheels import INSTALL_TIMEOUT_S, PLATFORMS, ROOT

#: What the collectors import besides their extra.
SHARED = ("orjson", "psycopg", "pydantic", "tenacity")
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
    target = context / "wheels"
    target.mkdir(parents=True)
    command = wheels.pip("install", _requirements(), "--target", str(target))
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True, cwd=ROOT)
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
    always = wheels.requirements()
    named = [line for line in always if line.partition("[")[0].partition(">")[0].strip() in SHARED]
    return named + wheels.requirements("collect")[len(always) :]
