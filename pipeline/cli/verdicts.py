"""The end of a job as its user sees it: reports written, a summary, and the exit code."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli import outputs as reports
from pipeline.cli.exits import CLEAN, FAILED, UNABLE
from pipeline.cli.faults import note, say
from pipeline.cli.outputs import TEXT, Output

if TYPE_CHECKING:
    from pipeline.producer import Job


def conclude(job: "Job", outputs: Sequence[Output], *, quiet: bool = False) -> int:
    """Write the reports of the ended job, say how it ended, and return the exit code."""
    info = job.info()
    fault = fault_of(info)
    if fault is not None and not info["total"]:
        say(fault)
        return UNABLE
    written = reports.write(job, outputs)
    if not quiet:
        _summarise(info, outputs, written)
    if fault is not None:
        say(f"{fault}{_first_reason(job)}")
        return UNABLE
    return exit_code(info)


def _first_reason(job: "Job") -> str:
    """Return why the first file was not linted, as a further sentence."""
    for file in job.results():
        if file.outcome == "not_linted":
            return f" {file.path}: {file.explanation}"
    return ""


def exit_code(info: Mapping[str, Any]) -> int:
    """Return the exit code of an ended lint job."""
    if fault_of(info) is not None:
        return UNABLE
    return FAILED if info["result"]["verdict"]["failed"] else CLEAN


def fault_of(info: Mapping[str, Any]) -> str | None:
    """Return why the job could not do its work, None when its verdict counts."""
    if info["state"] in ("cancelled", "timed_out") or (
        info["state"] == "failed" and not info["total"]
    ):
        return str(info["message"] or f"The job ended as {info['state']} ({info['reason']}).")
    result = info["result"] or {}
    if "verdict" not in result:
        return str(result.get("error") or "The job has no verdict.")
    counts = result["verdict"]["counts"]
    if counts["not_linted"] and not counts["clean"] + counts["with_violations"]:
        return f"None of the {counts['not_linted']} files could be linted."
    return None


def _summarise(info: Mapping[str, Any], outputs: Sequence[Output], written: Sequence[Any]) -> None:
    """Tell what a report on standard output does not; standard output is kept clean of it."""
    on_stdout = {output.form for output in outputs if output.path is None}
    tell = note if on_stdout else typer.echo
    if TEXT not in on_stdout:
        for line in summary(info):
            tell(line)
    for path in written:
        tell(f"Report: {path}")
    if not info["total"] and info["state"] == "succeeded":
        tell("No SQL files were found there.")
    tell(f"Job {info['id']}, {_seconds(info):.1f} s.")


def summary(info: Mapping[str, Any]) -> Iterator[str]:
    """Yield the counts and the gate's verdict, in the words of the text report."""
    from pipeline.kinds.sql_lint.gate import Verdict
    from pipeline.kinds.sql_lint.reports.text import summary_lines

    verdict = (info["result"] or {}).get("verdict")
    if verdict is not None:
        yield from summary_lines(Verdict(**verdict))


def _seconds(info: Mapping[str, Any]) -> float:
    if info["started_at"] is None or info["finished_at"] is None:
        return 0.0
    return float((info["finished_at"] - info["started_at"]).total_seconds())
