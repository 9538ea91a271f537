"""Collectors, run in this process or as the container would: by ``python -m pipeline.collect``."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXECUTION_ID = "550e8400-e29b-41d4-a716-446655440000"


@dataclass
class Collector:
    """A config, a folder, and the processes that were started on them."""

    folder: Path
    document: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    execution_id: str = EXECUTION_ID

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def result(self) -> dict[str, Any]:
        return dict(json.loads((self.output / "result.json").read_text("utf-8")))

    def records(self, name: str = "records.json") -> list[dict[str, Any]]:
        return list(json.loads((self.output / name).read_text("utf-8")))

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """A running collector; it is killed at the end of the block, if it still runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / f"config-{uuid.uuid4().hex}.json"
        config.write_text(json.dumps(self.document), "utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.collect"],
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                "TASK_EXECUTION_ID": self.execution_id,
                "CONFIG_PATH": str(config),
                "OUTPUT_DIR": str(self.output),
                "HOSTNAME": "task-container",
                **self.environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=Path(__file__).parents[3],
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def run(self) -> tuple[int, str]:
        """Return the exit code, and what it said on both streams."""
        with self.started() as process:
            out, err = process.communicate(timeout=60)
            return process.returncode, out + err

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def crawler(folder: Path, config: dict[str, Any], **document: Any) -> Collector:
    """A crawler without manners, as quick as it can be."""
    quick = {"delay": 0, "obey_robots": False, "max_retries": 2}
    told = {"task_name": "A crawl", "task_type": "crawler", "crawler_config": {**quick, **config}}
    return Collector(folder, {**told, **document})


def api(folder: Path, config: dict[str, Any], **document: Any) -> Collector:
    """An API collector that is as quick as it can be."""
    quick = {"requests_per_second": 1000, "max_retries": 3}
    told = {"task_name": "An API", "task_type": "api", "api_config": {**quick, **config}}
    return Collector(folder, {**told, **document})


def database(folder: Path, config: dict[str, Any]) -> Collector:
    """A database collector."""
    told = {"task_name": "A sync", "task_type": "database", "database_config": config}
    return Collector(folder, told)
