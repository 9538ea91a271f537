"""Canaries: things that nothing in an archive or a SQL file may touch, and an ear on each of them.

A module that leaves a trace when it is imported, a package that does, macros and a template that
hold a secret, a secret file, a listener on the network, a marker for processes; and the
interpreter's own audit events: files opened outside the installed code, processes, connections.
"""

import json
import os
import select
import socket
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECRET = "canary_secret_text"
_EVENTS = frozenset(
    "os.system os.exec os.posix_spawn os.spawn os.fork os.forkpty subprocess.Popen pty.spawn"
    " socket.connect socket.bind socket.getaddrinfo socket.gethostbyname os.remove os.rename"
    " os.mkdir os.rmdir os.chmod os.kill os.putenv ctypes.dlopen urllib.Request".split()
)
_LISTING = frozenset({"os.listdir", "os.scandir"})
#: The code that SQLFluff may still load while it works.
_CODE = tuple(
    {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(Path(__file__).parents[3])}
)


class Canaries:
    """Seven of them in a folder; ``touched`` names those that sang."""

    NAMES = (
        *("module", "package", "macros", "template", "secret file", "listener", "process"),
        "audit events",
    )

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.trace = folder / "imported"
        self.marker = folder / "ran"
        self.library, self.package = folder / "library", folder / "package"
        self.macros, self.secret = folder / "macros", folder / "secret.sql"
        code = f"open({str(self.trace)!r}, 'w').close()\nSQLFLUFF_JINJA_FILTERS = {{}}\n"
        for made in (self.library, self.package, self.macros):
            made.mkdir()
        (self.library / "canary.py").write_text(code)
        (self.package / "__init__.py").write_text(code)
        leak = f"{{% macro leak() %}}{SECRET}{{% endmacro %}}{SECRET}"
        (self.macros / "leak.sql").write_text(leak)
        self.secret.write_text(f"SELECT '{SECRET}'\n")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self._watching = False
        self._heard: list[str] = []
        sys.addaudithook(self._hear)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Audit events of this process count meanwhile."""
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def _hear(self, event: str, told: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event in _EVENTS:
            self._heard.append(f"{event} {told!r}"[:200])
        elif event == "open" or event in _LISTING:
            path = told[0]
            if isinstance(path, str | bytes) and not _is_code(os.path.abspath(os.fsdecode(path))):
                self._heard.append(f"{event} {path!r}"[:200])

    def touched(self, replies: Any) -> list[str]:
        """What sang since the last look, in words."""
        found = [f"{path.name} is there" for path in (self.trace, self.marker) if path.exists()]
        text = replies if isinstance(replies, str) else json.dumps(replies)
        found += [f"{word} was read" for word in (SECRET, "root:x:0") if word in text]
        if os.environ["PATH"] in text:
            found.append("the environment was read")
        if select.select([self.listener], [], [], 0)[0]:
            self.listener.accept()[0].close()
            found.append("the listener was called")
        found += self._heard
        self._heard = []
        for path in (self.trace, self.marker):
            path.unlink(missing_ok=True)
        return found

    def close(self) -> None:
        self._watching = False
        self.listener.close()


def _is_code(path: str) -> bool:
    return path.startswith(_CODE) or path == "/dev/null"
