"""What the container's environment says."""

import math
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.collect.errors import ConfigRefused

_DEFAULT_INTERVAL_S = 30.0


@dataclass(frozen=True, slots=True)
class Environment:
    """Who we are, where the config is, and whom to tell; ``api_base_url`` may hold a token."""

    execution_id: str
    container_name: str
    config_path: Path
    api_base_url: str | None
    output_dir: Path | None
    heartbeat_interval_s: float


def read_environment(values: Mapping[str, str] = os.environ) -> Environment:
    """Return what is set; raises ``ConfigRefused`` for what cannot be used."""
    return Environment(
        execution_id=_execution_id(values.get("TASK_EXECUTION_ID", "")),
        container_name=values.get("HOSTNAME") or socket.gethostname(),
        config_path=Path(values.get("CONFIG_PATH") or "/app/config.json"),
        api_base_url=_base_url(values.get("API_BASE_URL", "")),
        output_dir=Path(values["OUTPUT_DIR"]) if values.get("OUTPUT_DIR") else None,
        heartbeat_interval_s=_interval_s(values.get("HEARTBEAT_INTERVAL_S", "")),
    )


def _execution_id(told: str) -> str:
    try:
        return str(uuid.UUID(told))
    except ValueError:
        raise ConfigRefused("TASK_EXECUTION_ID has to be set to a UUID.") from None


def _base_url(told: str) -> str | None:
    if not told:
        return None
    try:
        parts = urlsplit(told)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigRefused("API_BASE_URL has to be a URL like http://host:8000.")
    return told.rstrip("/")


def _interval_s(told: str) -> float:
    try:
        interval_s = float(told) if told else _DEFAULT_INTERVAL_S
    except ValueError:
        interval_s = math.nan
    if not 0 < interval_s <= 3600:
        raise ConfigRefused("HEARTBEAT_INTERVAL_S has to be a number of seconds up to 3600.")
    return interval_s
