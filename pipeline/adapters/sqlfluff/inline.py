"""The ``-- sqlfluff:`` lines of a SQL file, sorted into those that are honoured and those not."""

from dataclasses import dataclass, field

from pipeline.adapters.sqlfluff import allowlist, reading
from pipeline.adapters.sqlfluff.allowlist import Verdict

MAX_LINES = 200
MAX_LINE_CHARS = 5000


@dataclass(slots=True)
class InlineConfig:
    """Lines to hand to SQLFluff one by one, and a sentence for each that is not."""

    honoured: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def scan(text: str) -> InlineConfig:
    """What SQLFluff would take for configuration in this text, through the allow-list."""
    found = InlineConfig()
    if "sqlfluff" not in text:
        return found
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith(("-- sqlfluff", "--sqlfluff")):
            continue
        verdict = _judge(line)
        if verdict is Verdict.HONOUR and len(found.honoured) >= MAX_LINES:
            verdict = f"only {MAX_LINES} such lines are honoured"
        if verdict is Verdict.HONOUR:
            found.honoured.append(line)
        elif isinstance(verdict, str) and len(found.refused) < MAX_LINES:
            found.refused.append(f"Line {number}: {line[:120]!r} is not honoured: {verdict}.")
    return found


def _judge(line: str) -> Verdict | str:
    if len(line) > MAX_LINE_CHARS:
        return f"it is longer than {MAX_LINE_CHARS} characters"
    body = line[2:].strip()
    if not body.startswith("sqlfluff:"):
        return "it is not of the form -- sqlfluff:key:value"
    path, value = split_on_colons(body[len("sqlfluff:") :].strip())
    if not path:
        return "it is not of the form -- sqlfluff:key:value"
    if len(path) > reading.MAX_DEPTH:
        return "it is nested too deeply"
    return allowlist.judge(("core", *path) if len(path) == 1 else path, reading.coerce(value))


def split_on_colons(text: str) -> tuple[tuple[str, ...], str]:
    """Key path and value as SQLFluff splits them: Windows paths and JSON stay whole."""
    path: list[str] = []
    left = text
    while ":" in left:
        step, _, value = left.partition(":")
        path.append(step.strip())
        left = value.strip()
        if _stays_whole(left):
            break
    return tuple(path), left


def _stays_whole(value: str) -> bool:
    if value[1:3] == ":\\":
        return True
    return len(value) >= 2 and value[0] + value[-1] in ("[]", "{}")
