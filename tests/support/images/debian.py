"""Images unpacked from Debian's packages by mmdebstrap."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.images import recipes

SUITE = "bookworm"
#: What every image needs before anything runs in it.
BARE = ("base-files", "bash", "coreutils", "dash", "libc-bin")
LEFT_OUT = ("doc", "man", "locale", "i18n", "info", "lintian")
PATHS = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: A slow mirror is no failed test.
BUILD_TIMEOUT_S = 600


@dataclass(frozen=True)
class Debian:
    """An image: its packages with all they need, and how it is configured."""

    repository: str
    packages: Sequence[str]
    changes: Sequence[str] = (PATHS, "ENV LANG=C.UTF-8", 'CMD ["python3"]')
    #: Files that nobody needs there, as patterns of the shell below /.
    without: Sequence[str] = ()

    def name(self) -> str:
        """Return the image's name, which follows its recipe."""
        told = (*self.packages, *LEFT_OUT, *self.without, *self.changes)
        return f"{self.repository}:{recipes.digest(SUITE, *told, platform.machine())}"

    def build(self, client: Any, folder: Path) -> None:
        """The image is on the host; its content is kept in the folder."""
        archive = folder / f"{self.name().replace(':', '-')}.tar"
        if not archive.exists():
            part = archive.with_suffix(".part.tar")
            command = self._command(part)
            subprocess.run(command, check=True, timeout=BUILD_TIMEOUT_S, capture_output=True)
            part.rename(archive)
        repository, _, tag = self.name().partition(":")
        changes = list(self.changes)
        client.import_image(src=str(archive), repository=repository, tag=tag, changes=changes)

    def _command(self, archive: Path) -> list[str]:
        program = shutil.which("mmdebstrap")
        if program is None:
            raise RuntimeError(
                "The images of the Docker tests are made by mmdebstrap, which is not installed:"
                " run `make services`, or as root: apt-get install mmdebstrap."
            )
        # Unpacked, not configured: no script of a package runs, and nothing here needs one.
        included = ",".join((*BARE, *self.packages))
        options = ["--variant=extract", "--mode=root", f"--include={included}"]
        # Afterwards, as dpkg's own exclusion takes as long as all the rest.
        left_out = (*(f"/usr/share/{each}" for each in LEFT_OUT), *self.without)
        removed = " ".join(f'"$1"{each}' for each in left_out)
        options.append(f"--extract-hook=rm -rf {removed}")
        return [program, *options, SUITE, str(archive)]
