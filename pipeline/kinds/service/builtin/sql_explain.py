"""The service ``sql/explain``: what the results of linting mean, and what to mend first."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from pipeline.adapters.sqlfluff import LintPool, LintWork
from pipeline.adapters.sqlfluff.config import ConfigTree
from pipeline.adapters.sqlfluff.rules import Rule, rules
from pipeline.core.context import current_settings
from pipeline.kinds.service.builtin.extras import needing
from pipeline.kinds.service.calls import Rejected, TaskContext
from pipeline.kinds.service.registry import service

MOST_VIOLATIONS = 50_000
#: So many places of a rule are told.
MOST_PLACES = 10

#: What is found before any rule looks.
ENGINE = {
    code: Rule(code, name, description, ("engine",), fixes=False, more="")
    for code, name, description in (
        (
            "PRS",
            "parsing",
            "The text is no SQL of this dialect from there on: rules see less of it.",
        ),
        ("LXR", "lexing", "A character there stands in no SQL of this dialect."),
        ("TMP", "templating", "A template in the text was not rendered."),
    )
}
#: Groups of rules about what a query means; the others are about how it looks.
MEANING = frozenset({"ambiguous", "references", "structure", "aliasing.unique"})
#: What is mended first, and why.
ORDER = (
    "Mend first what keeps the text from being read: rules see only what is read.",
    "Let `quayline lint --fix`, or `sqlfluff fix`, mend what it can: that is one command.",
    "Then by hand what may change the meaning of a query.",
    "Then by hand what is left.",
)


class Violation(BaseModel):
    """A violation as SQLFluff or a report tells it; what else is told of it is left aside."""

    model_config = ConfigDict(extra="ignore")

    code: str = Field(min_length=1, max_length=50)
    line: int | None = Field(
        None, validation_alias=AliasChoices("line", "start_line_no", "line_no")
    )
    fixable: bool | None = None


class File(BaseModel):
    """A file of a report in JSON."""

    model_config = ConfigDict(extra="ignore")

    filepath: str = Field("", max_length=5000)
    violations: list[Violation] = Field([], max_length=MOST_VIOLATIONS)


class Lint(BaseModel):
    """What is explained: violations, the ``files`` of a report in JSON, or a text of SQL."""

    model_config = ConfigDict(extra="forbid")

    violations: list[Violation] | None = Field(None, max_length=MOST_VIOLATIONS)
    files: list[File] | None = Field(None, max_length=MOST_VIOLATIONS)
    sql: str | None = Field(None, max_length=400_000)
    dialect: str = Field("ansi", max_length=50, pattern=r"^[a-z0-9_]+$")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(each is not None for each in (self.violations, self.files, self.sql)) != 1:
            raise ValueError("give violations, files or sql")
        return self


class ExplainedRule(BaseModel):
    """A rule that was violated. ``can_fix``: `fix` knows how to mend it; ``fixable``: so many of
    its violations, where that was told. ``turn``: its place in ``order``, from 1."""

    code: str
    name: str
    description: str
    explanation: str
    groups: list[str]
    can_fix: bool
    count: int
    fixable: int
    places: list[str]
    turn: int


class Explanation(BaseModel):
    """The rules that were violated, those to mend first at the beginning."""

    violations: int
    fixable: int
    rules: list[ExplainedRule]
    order: list[str]


@service("sql", "explain")
class SqlExplain:
    """Explains the results of linting: each rule with its meaning, whether `fix` can mend it, and
    what to mend first. Needs no network; a text of SQL is linted as a lint job would."""

    def explain(self, input_data: Lint, context: TaskContext) -> Explanation:
        """Return the explanation."""
        with needing("lint"):
            known = {**rules(), **ENGINE}
        found: defaultdict[str, list[tuple[str, Violation]]] = defaultdict(list)
        for place, violation in _violations(input_data, context):
            rule = known.get(violation.code) or _unknown(violation.code)
            found[rule.code].append((place, violation))
        explained = [_explained(known.get(code) or _unknown(code), found[code]) for code in found]
        explained.sort(key=lambda each: (each.turn, -each.count, each.code))
        turns = sorted({each.turn for each in explained})
        for each in explained:
            each.turn = turns.index(each.turn) + 1
        return Explanation(
            violations=sum(each.count for each in explained),
            fixable=sum(each.fixable for each in explained),
            rules=explained,
            order=[ORDER[turn - 1] for turn in turns],
        )


def _violations(lint: Lint, context: TaskContext) -> Iterator[tuple[str, Violation]]:
    """Yield each violation with where it is."""
    files = lint.files or [File(violations=lint.violations or [])]
    if lint.sql is not None:
        files = [File(violations=_linted(lint.sql, lint.dialect, context))]
    for file in files:
        for violation in file.violations:
            line = "" if violation.line is None else str(violation.line)
            yield ":".join(part for part in (file.filepath, line) if part), violation


def _linted(sql: str, dialect: str, context: TaskContext) -> list[Violation]:
    config = ConfigTree({}, overrides={"dialect": dialect}).effective("")
    settings = current_settings()
    pool = LintPool(
        1,
        time_limit_s=settings.lint_time_limit_s,
        memory_limit_bytes=settings.lint_memory_limit_bytes,
    )
    with closing(pool):
        work = LintWork("text.sql", sql.encode("utf-8", "replace"), config.document, config.digest)
        reply = pool.lint(work, cancelled=context.cancelled)
    if reply.result is None:
        raise Rejected(f"The text was not linted: {reply.message}")
    return [Violation.model_validate(each) for each in reply.result["violations"]]


def _explained(rule: Rule, found: list[tuple[str, Violation]]) -> ExplainedRule:
    fixable = sum(rule.fixes if each.fixable is None else each.fixable for _, each in found)
    return ExplainedRule(
        code=rule.code,
        name=rule.name,
        description=rule.description,
        explanation=rule.more,
        groups=list(rule.groups),
        can_fix=rule.fixes,
        count=len(found),
        fixable=fixable,
        places=[place for place, _ in found[:MOST_PLACES] if place],
        turn=_turn(rule, fixable == len(found)),
    )


def _turn(rule: Rule, is_fixed: bool) -> int:
    if "engine" in rule.groups:
        return 1
    if is_fixed:
        return 2
    return 3 if MEANING.intersection(rule.groups) else 4


def _unknown(code: str) -> Rule:
    """Return what is told of a rule of a plugin, or of another version."""
    told = f"SQLFluff has no rule {code} here."
    return Rule(code, code, told, (), fixes=False, more="")
