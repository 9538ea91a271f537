"""Arguments and options that several commands have, in the words of all."""

from pathlib import Path
from typing import Annotated

import typer

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]

Owner = Annotated[str, typer.Option("--owner", metavar="NAME", help="Whose it is.")]
Priority = Annotated[
    int | None, typer.Option("--priority", metavar="0-9", min=0, max=9, help="9 is urgent.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="A label of the job; several times."),
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="TEXT", help="The same key again is the same job.")
]
Deadline = Annotated[
    float | None,
    typer.Option("--deadline", metavar="SECONDS", help="Stop a job that takes longer."),
]
FromJob = Annotated[
    str | None,
    typer.Option(
        "--from-job", metavar="JOB", help="Repeat this job: its kind, parameters and stored source."
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        *("--var", "-v"),
        metavar="NAME=VALUE",
        help="A value of the template; what is no text is written as JSON. Several times.",
    ),
]
ValueFile = Annotated[
    Path | None,
    typer.Option("--var-file", metavar="FILE.json", help="An object of values; --var wins."),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait at most so long.")
]
