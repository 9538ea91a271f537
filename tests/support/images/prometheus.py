"""Prometheus of Debian in an image that takes the same arguments as the official one."""

from pathlib import Path
from typing import Any

from tests.support.images import recipes
from tests.support.images.debian import PATHS, Debian

_IMAGE = Debian("quayline-test-prometheus-base", ("prometheus",), changes=(PATHS,))
#: A volume that is mounted at /prometheus for the first time belongs to that user, as there.
_RECIPE = """\
FROM {base}
RUN install --directory --owner=65534 --group=65534 /prometheus
USER 65534:65534
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
"""

base_name, build_base = _IMAGE.name, _IMAGE.build


def name() -> str:
    """Return the image's name, which follows its recipe."""
    return f"quayline-test-prometheus:{recipes.digest(base_name(), _RECIPE)}"


def build(client: Any, folder: Path) -> None:
    """The image is on the host."""
    context = folder / "prometheus"
    context.mkdir(exist_ok=True)
    recipe = _RECIPE.format(base=base_name())
    recipes.build(client, context, recipe, name(), network_mode="none")
