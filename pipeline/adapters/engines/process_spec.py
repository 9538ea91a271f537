"""What a local process is, written into its folder and read out of it."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pipeline
from pipeline import clock
from pipeline.adapters.engines import process_folder
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL, Seen, Spec, State

#: The collectors.
COMMAND = (sys.executable, "-P", "-m", "pipeline.collect")
#: What a process inherits; no settings of ours, no secrets.
_KEPT_VARIABLES = (
    *("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
#: Of a process whose runner was killed, and it with it.
LOST_EXIT_CODE = 137
LOST = "Its end is not known: what watched it was killed."


def prepare(
    folder: Path,
    place: Path,
    spec: Spec,
    *,
    deployment: str,
    command: Sequence[str],
    sqlite_folders: Sequence[str],
) -> None:
    """The folder holds all that the process needs, once it is moved to its place."""
    folder.mkdir(mode=0o700, parents=True)
    (folder / process_folder.OUTPUT_FOLDER).mkdir()
    (folder / process_folder.TMP_FOLDER).mkdir()
    if spec.config is not None:
        config = folder / process_folder.CONFIG_FILE
        config.write_bytes(spec.config)
        config.chmod(0o400)
    document = {
        "name": spec.name,
        "image": spec.image,
        "labels": {**spec.labels, DEPLOYMENT_LABEL: deployment},
        "command": list(command),
        "env": _environment(spec.env, spec.name, place, sqlite_folders),
        "memory_bytes": spec.memory_bytes,
        "log_bytes": spec.log_bytes,
        "created_at": clock.now().isoformat(),
    }
    process_folder.write(folder / process_folder.SPEC_FILE, document)


def _environment(
    told: Mapping[str, str], name: str, place: Path, sqlite_folders: Sequence[str]
) -> dict[str, str]:
    output = str(place / process_folder.OUTPUT_FOLDER)
    kept = {each: os.environ[each] for each in _KEPT_VARIABLES if each in os.environ}
    return (
        kept
        | dict(told)
        | {
            "HOSTNAME": name,
            "CONFIG_PATH": str(place / process_folder.CONFIG_FILE),
            "OUTPUT_DIR": output,
            # It is a process of ours, and so are our own files: others are not for submitters.
            "SQLITE_FOLDERS": os.pathsep.join([output, *sqlite_folders]),
            "TMPDIR": str(place / process_folder.TMP_FOLDER),
            "HOME": str(place / process_folder.TMP_FOLDER),
            "PYTHONPATH": import_path(),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
    )


def import_path() -> str:
    """Return where the same code as ours is found."""
    home = str(Path(pipeline.__file__).resolve().parents[1])
    paths = [path for path in sys.path if os.path.isabs(path) and os.path.exists(path)]
    return os.pathsep.join(dict.fromkeys([*paths, home]))


def seen(place: Path) -> Seen | None:
    """Return what the folder says; None when there is none."""
    # Asked before the exit is read: a runner that is gone by then has written it, or never will.
    runs = process_folder.has_runner(place)
    spec = process_folder.read(place / process_folder.SPEC_FILE)
    if spec is None:
        return None
    started = process_folder.read(place / process_folder.STARTED_FILE)
    ended = process_folder.read(place / process_folder.EXIT_FILE)
    if started is not None and ended is None and not runs:
        ended = {"exit_code": LOST_EXIT_CODE, "error": LOST, "finished_at": None}
    return _seen(spec, started, ended)


def _seen(
    spec: dict[str, Any], started: dict[str, Any] | None, ended: dict[str, Any] | None
) -> Seen:
    state: State = "exited" if ended else "running" if started else "created"
    created_at = _moment(spec["created_at"])
    assert created_at is not None
    return Seen(
        # The task's name is used again by its next run; the time tells them apart.
        id=f"{spec['name']}@{spec['created_at']}",
        name=spec["name"],
        image=spec["image"],
        labels=spec["labels"],
        state=state,
        created_at=created_at,
        exit_code=ended["exit_code"] if ended else None,
        error=ended["error"] if ended else "",
        started_at=_moment(started["started_at"]) if started else None,
        finished_at=_moment(ended["finished_at"]) if ended else None,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
