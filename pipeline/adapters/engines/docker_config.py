"""Puts a container's configuration in, and makes its output folder the user's, before it starts."""

import io
import tarfile
from typing import Any

from pipeline.adapters.engines.model import APP_FOLDER, CONFIG_FILE, OUTPUT_FOLDER, Spec


def put(client: Any, container: str, spec: Spec) -> None:
    """The container, which has not started, finds its configuration and may write its output."""
    uid, _, gid = spec.user.partition(":")
    folder = tarfile.TarInfo()
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    folder.uid, folder.gid = int(uid), int(gid or uid)
    if spec.config is None:
        # Of an entry `.` Docker skips owner and mode; of `/` it does not.
        folder.name = "/"
        client.put_archive(container, OUTPUT_FOLDER, _archive((folder, b"")))
        return
    folder.name = OUTPUT_FOLDER.removeprefix(f"{APP_FOLDER}/")
    file = tarfile.TarInfo(CONFIG_FILE.removeprefix(f"{APP_FOLDER}/"))
    file.mode, file.size = 0o444, len(spec.config)
    client.put_archive(container, APP_FOLDER, _archive((folder, b""), (file, spec.config)))


def _archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for told, content in entries:
            archive.addfile(told, io.BytesIO(content))
    return out.getvalue()
