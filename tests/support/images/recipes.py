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


def build(client: Any, context: Path, recipe: str, name: str) -> None:
    """The image is on the host, made by the recipe from the files of the folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        told = tarfile.TarInfo("Dockerfile")
        told.size = len(recipe.encode())
        archive.addfile(told, io.BytesIO(recipe.encode()))
        archive.add(context, arcname=".")
    out.seek(0)
    said = list(client.build(fileobj=out, custom_context=True, tag=name, rm=True, decode=True))
    for line in said:
        if "error" in line:
            raise RuntimeError(f"The image {name} could not be built: {line['error']}")
