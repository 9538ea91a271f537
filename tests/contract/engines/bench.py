"""A place to run small programs on an engine: each is Python, and the same on every engine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.adapters.engines.model import Engine, LogEntry, Seen, Spec
from tests.support.engines import new_spec
from tests.support.waiting import eventually

#: Runs the code of its configuration, in the folder of its output.
PROGRAM = """\
import json, os, pathlib, signal, subprocess, sys, time
config = json.loads(pathlib.Path(os.environ["CONFIG_PATH"]).read_bytes())
os.chdir(os.environ["OUTPUT_DIR"])
exec(config["code"])
"""
ENV = {"CONFIG_PATH": "/app/config.json", "OUTPUT_DIR": "/app/output"}
ENDS_WITHIN_S = 30


@dataclass(frozen=True)
class Bench:
    """An engine, and what a specification for it has to say besides the program."""

    engine: Engine
    told: dict[str, Any]

    def spec(self, code: str, **changes: Any) -> Spec:
        """Return a container that runs the code."""
        config = json.dumps({"code": code}).encode()
        return new_spec(**(self.told | {"config": config, "env": ENV} | changes))

    def started(self, code: str, **changes: Any) -> str:
        """Return the name of a container that was started with the code."""
        spec = self.spec(code, **changes)
        self.engine.create(spec)
        self.engine.start(spec.name)
        return spec.name

    def ended(self, name: str, *, within_s: float = ENDS_WITHIN_S) -> Seen:
        """Return the container once it has ended."""

        def end() -> Seen | None:
            seen = self.engine.find(name)
            return seen if seen is not None and seen.has_ended else None

        seen = eventually(end, within_s=within_s, what=f"the end of {name}")
        assert seen is not None
        return seen

    def ran(self, code: str, **changes: Any) -> Seen:
        """Return a container that has run the code."""
        return self.ended(self.started(code, **changes))

    def says(self, name: str, text: bytes) -> None:
        """The container has written the text."""
        eventually(
            lambda: text in said(self.engine.logs(name)), within_s=ENDS_WITHIN_S, what=repr(text)
        )

    def outputs(self, name: str, **limits: int) -> dict[str, bytes]:
        """Return what the container left."""
        told = self.engine.outputs(name, **({"limit_bytes": 2**30} | limits))
        return {path: content.read() for path, _size, content in told}


def said(entries: Iterator[LogEntry], stream: str | None = None) -> bytes:
    """Return the bytes of the entries, of one stream or of both."""
    return b"".join(entry.data for entry in entries if stream in (None, entry.stream))
