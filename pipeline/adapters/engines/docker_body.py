"""What is asked of Docker for a container: its limits and safe defaults, all of them here."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from pipeline.adapters.engines.model import APP_FOLDER, DEPLOYMENT_LABEL, OUTPUT_FOLDER, Spec

CONTAINER_LABEL = "quayline.container"
TMP_FOLDER = "/tmp"  # noqa: S108 -- the container's own, in memory
#: Files of a log; the oldest goes when the newest is full.
LOG_FILES = 4
#: By this name programs in the container find the machine that it runs on.
GATEWAY = "host.docker.internal:host-gateway"


def app_volume(deployment: str, name: str) -> str:
    """Return the name of the volume that holds the program's folder with its configuration."""
    return f"quayline-{deployment}-{name}-app"


def output_volume(deployment: str, name: str) -> str:
    """Return the name of the volume that takes the output."""
    return f"quayline-{deployment}-{name}-output"


def body(spec: Spec, *, deployment: str, network: str | None) -> dict[str, Any]:
    """Return the document that creates the container."""
    return {
        "Image": spec.image,
        "Cmd": None if spec.command is None else list(spec.command),
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": {**spec.labels, DEPLOYMENT_LABEL: deployment},
        "User": spec.user,
        "Hostname": spec.name[:63],
        "StopSignal": "SIGTERM",
        "StopTimeout": ceil(spec.stop_grace_s),
        "Tty": False,
        "OpenStdin": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, deployment, network),
    }


def _host_config(spec: Spec, deployment: str, network: str | None) -> dict[str, Any]:
    return {
        **_isolation(),
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,
        "NanoCpus": round(spec.cpus * 1e9),
        "PidsLimit": spec.pids,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        "Tmpfs": {TMP_FOLDER: f"rw,noexec,nosuid,nodev,mode=1777,size={spec.tmpfs_bytes}"},
        "Mounts": _mounts(spec, deployment),
        "LogConfig": _log_config(spec.log_bytes),
        "NetworkMode": network or "none",
        "ExtraHosts": [GATEWAY] if network else [],
    }


def _isolation() -> dict[str, Any]:
    return {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "IpcMode": "private",
        "Binds": [],
        "Devices": [],
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        # A process 1 that passes signals on and takes orphans: a program need not be one.
        "Init": True,
    }


def _mounts(spec: Spec, deployment: str) -> list[dict[str, Any]]:
    """Return the volumes: the root cannot be written to, not even by the archive call."""
    labels = {DEPLOYMENT_LABEL: deployment, CONTAINER_LABEL: spec.name}
    mounts = []
    if spec.config is not None:
        # Docker copies what the image has there.
        mounts.append(_mount(APP_FOLDER, app_volume(deployment, spec.name), labels))
    mounts.append(_mount(OUTPUT_FOLDER, output_volume(deployment, spec.name), labels))
    return mounts


def _mount(target: str, source: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Target": target,
        "Source": source,
        "VolumeOptions": {"Labels": dict(labels)},
    }


def _log_config(log_bytes: int) -> dict[str, Any]:
    """Return a bounded log; ``json-file`` would lose bytes that are not UTF-8."""
    return {
        "Type": "local",
        "Config": {
            "max-size": str(max(1, log_bytes // LOG_FILES)),
            "max-file": str(LOG_FILES),
            "compress": "false",
        },
    }
