"""Which files of a job ``.sqlfluffignore`` files and ``ignore_paths`` keys take out.

The meaning is SQLFluff's: each set of patterns matches paths relative to its own directory, and a
directory is pruned when ``directory/*`` matches, whatever lies in it.
"""

import io
from collections.abc import Iterable, Sequence

import pathspec

IGNORE_FILE = ".sqlfluffignore"
MAX_FILE_BYTES = 256 * 1024
MAX_PATTERNS = 2000
MAX_PATTERN_CHARS = 500
# A pattern becomes a backtracking expression; this many wildcards stay quick on long paths.
MAX_WILDCARDS = 3

type Refusals = list[tuple[str, str]]


class IgnoreRules:
    """Patterns by directory. ``add*`` return (pattern, why) of those that are refused."""

    def __init__(self) -> None:
        self._specs: dict[str, list[pathspec.PathSpec]] = {}
        self._pruned: dict[str, bool] = {"": False}

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
        for pattern in patterns[:MAX_PATTERNS]:
            why = _why_refused(pattern)
            if why is None:
                kept.append(pattern)
            else:
                refused.append((f"the pattern {pattern.strip()[:100]!r}", why))
        if len(patterns) > MAX_PATTERNS:
            refused.append(("the rest", f"there are more than {MAX_PATTERNS} patterns"))
        spec = pathspec.PathSpec.from_lines("gitignore", kept)
        if any(pattern.include is not None for pattern in spec.patterns):
            self._specs.setdefault(directory, []).append(spec)
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
            for spec in self._specs.get(origin, ()):
                if spec.match_file(path[len(origin) + 1 :] if origin else path):
                    return True
        return False


def _ancestors(directory: str) -> Iterable[str]:
    while directory:
        yield directory
        directory = directory.rpartition("/")[0]
    yield ""


def _why_refused(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"it is longer than {MAX_PATTERN_CHARS} characters"
    if _wildcards(pattern) > MAX_WILDCARDS:
        return f"it has more than {MAX_WILDCARDS} wildcards"
    try:
        pathspec.PathSpec.from_lines("gitignore", [pattern])
    except Exception as error:  # the library raises errors of several families
        return f"it is not a valid pattern ({type(error).__name__})"
    return None


def _wildcards(pattern: str) -> int:
    """Runs of ``*``; a leading ``**/`` costs nothing."""
    body = pattern.strip().removeprefix("!").removeprefix("**/")
    return sum(
        1 for at, sign in enumerate(body) if sign == "*" and (at == 0 or body[at - 1] != "*")
    )
