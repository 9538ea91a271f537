"""Which files of a job ``.sqlfluffignore`` files and ``ignore_paths`` keys take out.

The meaning is SQLFluff's: each set of patterns matches paths relative to its own directory, and a
directory is pruned when ``directory/*`` matches, whatever lies in it. The patterns are untrusted
and become backtracking expressions, so those with several wildcards are bounded in number, in the
length of the paths they see and in the time they may take together.
"""

import io
import time
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import pathspec

IGNORE_FILE = ".sqlfluffignore"
MAX_FILE_BYTES = 256 * 1024
MAX_PATTERNS = 2000
MAX_PATTERN_CHARS = 500
# One wildcard costs linear time in the path; four cost minutes on a long one.
MAX_WILDCARDS = 3
MAX_COSTLY_PATTERNS = 50
MAX_COSTLY_PATH_CHARS = 250
COSTLY_BUDGET_S = 1.0

Refusals: TypeAlias = list[tuple[str, str]]


class IgnoreRules:
    """Patterns by directory. ``add*`` return (pattern, why) of those that are refused."""

    def __init__(self) -> None:
        self._specs: dict[str, list[_Spec]] = {}
        self._pruned: dict[str, bool] = {"": False}
        self._costly_left_s = COSTLY_BUDGET_S

    def add_file(self, directory: str, content: bytes) -> Refusals:
        """The patterns of one ignore file hold below its directory."""
        if len(content) > MAX_FILE_BYTES:
            return [("the file", f"it is larger than {MAX_FILE_BYTES} bytes")]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            return [("the file", "it is not UTF-8 text")]
        return self.add(directory, list(io.StringIO(text, newline=None)))

    def add(self, directory: str, patterns: Sequence[str]) -> Refusals:
        """These gitignore patterns hold below ``directory``."""
        refused: Refusals = []
        kept: list[str] = []
        costly = 0
        for pattern in patterns[:MAX_PATTERNS]:
            costly += _is_costly(pattern)
            why = _why_refused(pattern, costly)
            if why is None:
                kept.append(pattern)
            else:
                refused.append((f"the pattern {pattern.strip()[:100]!r}", why))
        if len(patterns) > MAX_PATTERNS:
            refused.append(("the rest", f"there are more than {MAX_PATTERNS} patterns"))
        if kept:
            self._specs.setdefault(directory, []).append(_Spec(kept))
        return refused

    def ignores(self, path: str) -> bool:
        """Whether this file, or a directory above it, is matched."""
        if not self._specs:
            return False
        path = path.removeprefix("./")
        directory = path.rpartition("/")[0]
        return self._is_pruned(directory) or self._matches(path, directory)

    def _is_pruned(self, directory: str) -> bool:
        found = self._pruned.get(directory)
        if found is None:
            above = directory.rpartition("/")[0]
            found = self._is_pruned(above) or self._matches(f"{directory}/*", above)
            self._pruned[directory] = found
        return found

    def _matches(self, path: str, directory: str) -> bool:
        """Whether patterns of ``directory`` or of one above it match ``path``."""
        for origin in _ancestors(directory):
            below = path[len(origin) + 1 :] if origin else path
            if any(self._match(spec, below) for spec in self._specs.get(origin, ())):
                return True
        return False

    def _match(self, spec: "_Spec", path: str) -> bool:
        if not spec.costly or len(path) > MAX_COSTLY_PATH_CHARS or self._costly_left_s <= 0:
            return spec.cheap.match_file(path)
        started_s = time.thread_time()
        matched = spec.all.match_file(path)
        taken_s = time.thread_time() - started_s
        if taken_s > 0.02:  # what harmless patterns never take
            self._costly_left_s -= taken_s
        return matched


class _Spec:
    """One set of patterns, whole and without the costly ones."""

    def __init__(self, patterns: Sequence[str]) -> None:
        cheap = [pattern for pattern in patterns if not _is_costly(pattern)]
        self.costly = len(cheap) < len(patterns)
        self.all = pathspec.PathSpec.from_lines("gitignore", patterns)
        self.cheap = pathspec.PathSpec.from_lines("gitignore", cheap) if self.costly else self.all


def _ancestors(directory: str) -> Iterable[str]:
    while directory:
        yield directory
        directory = directory.rpartition("/")[0]
    yield ""


def _why_refused(pattern: str, costly_so_far: int) -> str | None:
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"it is longer than {MAX_PATTERN_CHARS} characters"
    if _wildcards(pattern) > MAX_WILDCARDS:
        return f"it has more than {MAX_WILDCARDS} wildcards"
    if _is_costly(pattern) and costly_so_far > MAX_COSTLY_PATTERNS:
        return f"there are more than {MAX_COSTLY_PATTERNS} patterns with several wildcards"
    try:
        pathspec.PathSpec.from_lines("gitignore", [pattern])
    except Exception as error:  # noqa: BLE001  (the library raises errors of several families)
        return f"it is not a valid pattern ({type(error).__name__})"
    return None


def _is_costly(pattern: str) -> bool:
    return _wildcards(pattern) > 1


def _wildcards(pattern: str) -> int:
    """Runs of ``*``; one at either end of the whole pattern costs nothing."""
    body = pattern.strip().removeprefix("!").removeprefix("**/").removesuffix("/**")
    return sum(
        1 for at, sign in enumerate(body) if sign == "*" and (at == 0 or body[at - 1] != "*")
    )
