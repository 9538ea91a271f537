"""Runs hostile files past canaries in this process, where no fence of the system helps."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.adapters.sqlfluff import ConfigTree
from pipeline.adapters.sqlfluff.config import Effective
from pipeline.adapters.sqlfluff.linting import Engine
from tests.integration.sqlfluff.canaries import Canaries
from tests.integration.sqlfluff.hostile import Hostile


@dataclass
class Harmless:
    """What became of the cases; ``touched`` names each canary that sang, and in which case."""

    cases: int = 0
    canaries: int = len(Canaries.NAMES)
    touched: list[str] = field(default_factory=list)
    untyped: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        return not self.touched and not self.untyped

    def __str__(self) -> str:
        return (
            f"{self.cases:,} hostile SQL files and configurations, {self.canaries} kinds of"
            f" canaries: touched {len(self.touched)}, untyped endings {len(self.untyped)}"
            f" ({dict(self.reasons.most_common())})"
        )


def effective(case: Hostile) -> tuple[Effective, list[str]]:
    """How the case's file is configured, and what was refused."""
    tree = ConfigTree(
        case.files,
        overrides={"dialect": "ansi"} | case.overrides,
        extra=case.extra,
        base=case.base,
    )
    return tree.effective("a/b/x.sql"), [str(one) for one in tree.refused]


def content(case: Hostile) -> bytes:
    """The bytes of the case's file."""
    return case.sql if isinstance(case.sql, bytes) else case.sql.encode()


def endure(cases: Iterable[Hostile], canaries: Canaries, engine: Engine) -> Harmless:
    """Lint and fix each file with the canaries around it."""
    found = Harmless()
    for case in cases:
        with canaries.watching():
            config, refused = effective(case)
            header = {"digest": config.digest, "config": config.document}
            more: dict[str, Any] = {"fix": True, "disable_noqa": False}
            reply = engine.lint(header | more, content(case))
        found.cases += 1
        reason = reply["reason"] or "linted"
        found.reasons[reason] += 1
        if reason != "linted" and (len(reply["message"]) < 10 or "Traceback" in reply["message"]):
            found.untyped.append(f"{case.id}: {reply['message']}")
        # What is refused is told by name and place, which is no touch.
        sang = canaries.touched([reply, refused])
        found.touched += [f"{case.id}: {one}" for one in sang]
    return found
