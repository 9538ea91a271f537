"""The base image: Debian with Python and requests, unpacked by mmdebstrap."""

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.images import recipes

SUITE = "bookworm"
PYTHON_VERSION = "3.11"
PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "libc-bin"),
    *("python3", "python-is-python3", "python3-requests"),
)
LEFT_OUT = ("doc", "man", "locale", "i18n", "info", "lintian")
#: A slow mirror is no failed test.
BUILD_TIMEOUT_S = 600
_CHANGES = [
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    'CMD ["python3"]',
]


def name() -> str:
    """Return the image's name, which follows its recipe."""
    recipe = recipes.digest(SUITE, *PACKAGES, *LEFT_OUT, *_CHANGES, platform.machine())
    return f"quayline-test-base:{recipe}"


def build(client: Any, folder: Path) -> None:
    """The image is on the host; its content is kept in the folder."""
    archive = folder / f"{name().replace(':', '-')}.tar"
    if not archive.exists():
        part = archive.with_suffix(".part.tar")
        subprocess.run(_command(part), check=True, timeout=BUILD_TIMEOUT_S, capture_output=True)
        part.rename(archive)
    repository, _, tag = name().partition(":")
    client.import_image(src=str(archive), repository=repository, tag=tag, changes=_CHANGES)


def _command(archive: Path) -> list[str]:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise RuntimeError(
            "The base image of the Docker tests is made by mmdebstrap, which is not installed:"
            " run `make services`, or as root: apt-get install mmdebstrap."
        )
    # Unpacked, not configured: no script of a package runs, and nothing here needs one.
    options = ["--variant=extract", "--mode=root", f"--include={','.join(PACKAGES)}"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in LEFT_OUT]
    return [program, *options, SUITE, str(archive)]
