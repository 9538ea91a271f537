"""What ``lint`` and ``submit`` take: a dataclass of options made a command's signature."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Asked = TypeVar("Asked")


class Form(StrEnum):
    """The names of ``pipeline.kinds.sql_lint.reports.FORMATS``, which takes long to import."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITLAB = "gitlab"
    GITHUB = "github"
    CSV = "csv"
    HTML = "html"
    FIXED = "fixed"
    DIFF = "diff"


class FailOn(StrEnum):
    """The modes of the gate."""

    NONE = "none"
    ANY = "any"
    WARNING = "warning"
    ERROR = "error"
    NEW = "new"


class Templater(StrEnum):
    """SQLFluff's templaters that run no code."""

    RAW = "raw"
    JINJA = "jinja"
    PYTHON = "python"
    PLACEHOLDER = "placeholder"


LINTING, GATE, OUTPUT, JOB = "Linting", "Gate", "Output", "Job"


@dataclass(frozen=True, kw_only=True)
class JobAsk:
    """What a lint job is asked to be."""

    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Archives (each a job of its own), folders and SQL files; - reads one SQL text.",
            show_default=False,
        ),
    ]
    dialect: Annotated[
        str | None,
        typer.Option(
            "--dialect", "-d", metavar="NAME", help="SQLFluff dialect.", rich_help_panel=LINTING
        ),
    ] = None
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules",
            "-r",
            metavar="RULES",
            help="Only these rules: LT01,core,…",
            rich_help_panel=LINTING,
        ),
    ] = None
    exclude_rules: Annotated[
        str | None,
        typer.Option(
            "--exclude-rules",
            "-e",
            metavar="RULES",
            help="Not these rules.",
            rich_help_panel=LINTING,
        ),
    ] = None
    templater: Annotated[
        Templater | None,
        typer.Option(
            "--templater",
            "-t",
            metavar="NAME",
            help="raw, jinja, python or placeholder.",
            rich_help_panel=LINTING,
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="A config file stronger than those found.",
            rich_help_panel=LINTING,
        ),
    ] = None
    ignore_local_config: Annotated[
        bool,
        typer.Option(
            "--ignore-local-config",
            help="Do not look for config files beside or above the SQL, nor in the home folder.",
            rich_help_panel=LINTING,
        ),
    ] = False
    ignore: Annotated[
        str | None,
        typer.Option(
            "--ignore",
            "-i",
            metavar="ERRORS",
            help="Kinds of errors to ignore: parsing,…",
            rich_help_panel=LINTING,
        ),
    ] = None
    warnings: Annotated[
        str | None,
        typer.Option(
            "--warnings", metavar="RULES", help="Rules that only warn.", rich_help_panel=LINTING
        ),
    ] = None
    disable_noqa: Annotated[
        bool,
        typer.Option(
            "--disable-noqa", help="Do not honour noqa comments.", rich_help_panel=LINTING
        ),
    ] = False
    disable_noqa_except: Annotated[
        str | None,
        typer.Option(
            "--disable-noqa-except",
            metavar="RULES",
            help="Honour noqa for these rules only.",
            rich_help_panel=LINTING,
        ),
    ] = None
    warn_unused_ignores: Annotated[
        bool,
        typer.Option(
            "--warn-unused-ignores", help="Warn about noqa without effect.", rich_help_panel=LINTING
        ),
    ] = False
    stdin_filename: Annotated[
        str | None,
        typer.Option(
            "--stdin-filename",
            metavar="FILE",
            help="The path that text from - stands for.",
            rich_help_panel=LINTING,
        ),
    ] = None
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Also compute the fixed SQL (formats fixed and diff); costs many times a lint.",
            rich_help_panel=LINTING,
        ),
    ] = False
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Lint anew what is known.", rich_help_panel=LINTING),
    ] = False
    formats: Annotated[
        list[Form] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help=f"{', '.join(Form)}; may be given several times.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None
    fail_on: Annotated[
        FailOn,
        typer.Option(
            "--fail-on",
            metavar="WHAT",
            help=f"What fails the gate: {', '.join(FailOn)}.",
            rich_help_panel=GATE,
        ),
    ] = FailOn.ANY
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="Known violations: only others count.",
            rich_help_panel=GATE,
        ),
    ] = None
    priority: Annotated[
        int,
        typer.Option(
            "--priority",
            metavar="0-9",
            min=0,
            max=9,
            help="9 goes before 0 where jobs wait.",
            rich_help_panel=JOB,
        ),
    ] = 5
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="KEY=VALUE",
            help="A label of the job; may be given several times.",
            show_default=False,
            rich_help_panel=JOB,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LintAsk(JobAsk):
    """What ``lint`` takes: a job, and what to do with its end."""

    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the report goes; a folder for several formats (report.<suffix>), or one"
            " per --format.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None
    write_baseline: Annotated[
        Path | None,
        typer.Option(
            "--write-baseline",
            metavar="FILE",
            help="Write all violations of this run as the baseline of later ones.",
            rich_help_panel=GATE,
        ),
    ] = None
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            "-p",
            metavar="N",
            help="Files linted at the same time (default: one per core; -1: all cores but one).",
            rich_help_panel=JOB,
        ),
    ] = None
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="No progress and no summary.", rich_help_panel=OUTPUT),
    ] = False


@dataclass(frozen=True, kw_only=True)
class SubmitAsk(JobAsk):
    """What ``submit`` takes: a job, and how it is known."""

    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="The same key again returns the same job.",
            rich_help_panel=JOB,
        ),
    ] = None
    owner: Annotated[
        str, typer.Option("--owner", metavar="NAME", help="Whose job it is.", rich_help_panel=JOB)
    ] = ""
    deadline: Annotated[
        float | None,
        typer.Option(
            "--deadline",
            metavar="SECONDS",
            help="Stop the job when it takes longer.",
            rich_help_panel=JOB,
        ),
    ] = None


def taking(asked: type[Asked]) -> Callable[[Callable[[Asked], None]], Callable[..., None]]:
    """Make a function of one ``asked`` a command whose options are that dataclass's fields."""

    def wrap(command: Callable[[Asked], None]) -> Callable[..., None]:
        def call(**told: Any) -> None:
            command(asked(**told))

        each = fields(asked)  # type: ignore[arg-type]
        call.__name__ = command.__name__
        call.__doc__ = command.__doc__
        call.__annotations__ = {field.name: field.type for field in each}
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.default is MISSING else field.default,
                    annotation=field.type,
                )
                for field in each
            ]
        )
        return call

    return wrap
