"""All configuration of one job, as SQLFluff would load it, through the allow-list.

A directory is one set of layers; files of one directory share one ``Effective`` configuration.
The layers stay apart in the document because SQLFluff moves outdated keys file by file before it
merges; the merge itself is done by SQLFluff's own code in the child process.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.adapters.sqlfluff import allowlist, reading
from pipeline.adapters.sqlfluff.allowlist import Verdict
from pipeline.adapters.sqlfluff.ignores import IGNORE_FILE, IgnoreRules
from pipeline.states import Reason

# Later names win over earlier ones in the same directory.
PRECEDENCE = ("setup.cfg", "tox.ini", "pep8.ini", ".sqlfluff", "pyproject.toml")
IGNORING = (".sqlfluff", "pyproject.toml")
DEFAULT_EXTENSIONS = ".sql,.sql.j2,.dml,.ddl,.pkb"
MAX_REFUSALS = 1000
MAX_TOTAL_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """One key that was not honoured; ``str()`` is the sentence for the report."""

    origin: str
    key: str
    why: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.key} is not honoured: {self.why}."


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """Why the files below a broken configuration file cannot be linted."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Effective:
    """The configuration of the files of one directory; equal digests lint equally."""

    digest: str
    document: dict[str, Any]
    problem: ConfigProblem | None = None


@dataclass(frozen=True, slots=True)
class _Layers:
    """Layers of one place, each with a mark that equal layers share."""

    layers: tuple[dict[str, Any], ...] = ()
    marks: tuple[str, ...] = ()
    problem: ConfigProblem | None = None

    @classmethod
    def join(cls, parts: Sequence["_Layers"]) -> "_Layers":
        """All of them, in this order, with the first problem."""
        return cls(
            tuple(layer for part in parts for layer in part.layers),
            tuple(mark for part in parts for mark in part.marks),
            next((part.problem for part in parts if part.problem), None),
        )


def is_config_name(path: str) -> bool:
    """Whether a file of this name takes part in configuration or in ignoring."""
    name = path.rpartition("/")[2]
    return name in PRECEDENCE or name == IGNORE_FILE


class ConfigTree:
    """Answers, for every path of a job, how it is linted and whether it is linted at all.

    ``files`` are the archive's configuration files by path, ``base`` the (name, content) layers
    below them (weakest first), ``extra`` the submitter's own file above them, ``overrides`` the
    core keys of the command line. A name may be a path; its last part tells ini from toml. Nothing
    here raises for what a file says: see ``refused`` and ``Effective.problem``.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        overrides: Mapping[str, object] | None = None,
        extra: tuple[str, bytes] | None = None,
        base: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self.refused: list[RefusedKey] = []
        self._bytes_left = MAX_TOTAL_BYTES
        self._ignores = IgnoreRules()
        self._extensions: Any = DEFAULT_EXTENSIONS
        self._base = _Layers.join([self._load(*_named(each), None) for each in base])
        self._directories = self._load_directories(files)
        self._extra = self._load(*_named(extra), None) if extra else _Layers()
        self._overrides = self._admit_overrides(overrides or {})
        self._effective: dict[str, Effective] = {}
        self.sql_file_exts = self._root_extensions()

    def effective(self, path: str) -> Effective:
        """The configuration of the file at ``path``; the same object for a whole directory."""
        directory = _directory_of(path)
        found = self._effective.get(directory)
        if found is None:
            found = self._effective[directory] = self._make_effective(directory)
        return found

    def ignores(self, path: str) -> bool:
        """Whether a ``.sqlfluffignore`` or an ``ignore_paths`` takes this file out."""
        return self._ignores.ignores(path)

    # --- reading ------------------------------------------------------------------------------
    def _load_directories(self, files: Mapping[str, bytes]) -> dict[str, _Layers]:
        found: dict[str, dict[str, tuple[str, bytes]]] = {}
        for path, content in files.items():
            name = path.rpartition("/")[2]
            if name == IGNORE_FILE:
                self._refuse_all(path, self._ignores.add_file(_directory_of(path), content))
            elif name in PRECEDENCE:
                found.setdefault(_directory_of(path), {})[name] = (path, content)
        return {
            directory: _Layers.join(
                [
                    self._load(by_name[name][0], name, by_name[name][1], directory)
                    for name in PRECEDENCE
                    if name in by_name
                ]
            )
            for directory, by_name in sorted(found.items())
        }

    def _load(self, origin: str, name: str, content: bytes, directory: str | None) -> _Layers:
        try:
            self._bytes_left -= len(content)
            if self._bytes_left < 0:
                raise reading.Unreadable("is beyond the configuration one job may bring")
            values = reading.read(name, content)
            kept = self._admit(origin, name, values, directory)
        except reading.Unreadable as error:
            message = f"The configuration file {origin} {error}."
            return _Layers(problem=ConfigProblem(Reason.BAD_CONFIG, message))
        layer = {"name": name, "values": kept}
        return _Layers((layer,), (_digest(layer),)) if kept else _Layers()

    def _admit(
        self, origin: str, name: str, values: reading.Nested, directory: str | None
    ) -> reading.Nested:
        """The part of one file that SQLFluff gets to see."""
        kept: reading.Nested = {}
        for path, value in reading.records(values):
            verdict = allowlist.judge(path, value)
            if verdict is Verdict.HONOUR:
                reading.put(kept, path, value)
            elif verdict is Verdict.TREE:
                self._note_tree_key(origin, name, path[-1], value, directory)
            elif isinstance(verdict, str):
                self._refuse(origin, ":".join(path), verdict)
        return kept

    def _note_tree_key(
        self, origin: str, name: str, key: str, value: Any, directory: str | None
    ) -> None:
        if key == "ignore_paths" and directory is not None and name in IGNORING and value:
            patterns = value.split(",") if isinstance(value, str) else value
            self._refuse_all(origin, self._ignores.add(directory, patterns))
        if key == "sql_file_exts" and directory in (None, "") and isinstance(value, str):
            self._extensions = value

    def _admit_overrides(self, overrides: Mapping[str, object]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in overrides.items():
            if value is None:
                continue
            if isinstance(value, tuple | list):
                value = ",".join(map(str, value))
            verdict = allowlist.judge(("core", key), value)
            if verdict is Verdict.HONOUR:
                kept[key] = value
            elif verdict is Verdict.TREE and key == "sql_file_exts":
                self._extensions = value
            elif isinstance(verdict, str):
                self._refuse("command line", key, verdict)
        return kept

    def _refuse(self, origin: str, key: str, why: str) -> None:
        if len(self.refused) < MAX_REFUSALS:
            self.refused.append(RefusedKey(origin, key[:200], why))

    def _refuse_all(self, origin: str, refusals: Sequence[tuple[str, str]]) -> None:
        for key, why in refusals:
            self._refuse(origin, key, why)

    # --- merging ------------------------------------------------------------------------------
    def _make_effective(self, directory: str) -> Effective:
        if directory and directory not in self._directories:
            return self.effective(directory)  # of the directory above
        chain = [self._directories[step] for step in _steps(directory) if step in self._directories]
        root = _Layers.join([self._base, self._directories.get("", _Layers()), self._extra])
        file = _Layers.join([self._base, *chain, self._extra])
        return Effective(
            _digest([root.marks, file.marks, self._overrides]),
            {"root": list(root.layers), "file": list(file.layers), "overrides": self._overrides},
            root.problem or file.problem,
        )

    def _root_extensions(self) -> tuple[str, ...]:
        return tuple(self._extensions.lower().split(","))


def _named(extra: tuple[str, bytes]) -> tuple[str, str, bytes]:
    origin, content = extra
    return origin, origin.rpartition("/")[2], content


def _directory_of(path: str) -> str:
    return path.removeprefix("./").rpartition("/")[0]


def _steps(directory: str) -> list[str]:
    """The directory and all above it, from the root down: ``["", "a", "a/b"]``."""
    parts = directory.split("/") if directory else []
    return ["", *("/".join(parts[: count + 1]) for count in range(len(parts)))]


def _digest(value: Any) -> str:
    """Equal for equal values, whatever the order of their keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
