"""PostgreSQL and RabbitMQ of Debian in images that take the same variables as the official ones."""

from pathlib import Path
from typing import Any

from tests.support.images import recipes
from tests.support.images.debian import PATHS, Debian

FOLDER = Path(__file__).resolve().parent / "servers"
POSTGRES_VERSION = "15"

_IMAGE = Debian(
    "quayline-test-servers",
    packages=(
        *(f"postgresql-{POSTGRES_VERSION}", "rabbitmq-server"),
        *("sed", "grep", "gawk", "findutils", "hostname", "procps", "util-linux"),
    ),
    changes=(PATHS, "ENV LANG=C.UTF-8"),
    # Half of it all: what compiles queries.
    without=(
        "/usr/lib/*/libLLVM*",
        *(f"/usr/lib/postgresql/*/lib/{each}" for each in ("bitcode", "llvmjit*")),
    ),
)
# Before Debian's own commands, which want to be another user.
_RECIPE = """\
FROM {base}
ENV PATH=/usr/lib/rabbitmq/bin:/usr/lib/postgresql/{version}/bin:$PATH HOME=/var/lib/{server}
COPY {server}.sh /entrypoint.sh
ENTRYPOINT ["sh", "/entrypoint.sh"]
"""

base_name, build_base = _IMAGE.name, _IMAGE.build


def name(server: str) -> str:
    """Return the name of the image of ``postgres`` or ``rabbitmq``."""
    script = (FOLDER / f"{server}.sh").read_text()
    return f"quayline-test-{server}:{recipes.digest(base_name(), _RECIPE, script)}"


def build(client: Any, folder: Path, server: str) -> None:
    """The image is on the host."""
    recipe = _RECIPE.format(base=base_name(), server=server, version=POSTGRES_VERSION)
    recipes.build(client, FOLDER, recipe, name(server))
