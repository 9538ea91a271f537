"""What images are made from, and whether that has changed."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any


def digest(*parts: str) -> str:
    """Return what stands for exactly these parts, in a tag."""
    told = "\0".join(parts).encode()
    return hashlib.sha256(told).hexdigest()[:16]


def build(client: Any, context: Path, recipe: str, name: str, **told: Any) -> None:
    """The image is on the host, made by the recipe from the files of the folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        file = tarfile.TarInfo("Dockerfile")
        file.size = len(recipe.encode())
        archive.addfile(file, io.BytesIO(recipe.encode()))
        # Without times: the engine reuses a step whose files are the same.
        archive.add(context, arcname=".", filter=_undated)
    out.seek(0)
    said = list(
        client.build(fileobj=out, custom_context=True, tag=name, rm=True, decode=True, **told)
    )
    for line in said:
        if "error" in line:
            last = "".join(each.get("stream", "") for each in said)[-4000:]
            raise RuntimeError(f"The image {name} could not be built: {line['error']}\n{last}")


def _undated(file: tarfile.TarInfo) -> tarfile.TarInfo:
    file.mtime = 0
    return file
