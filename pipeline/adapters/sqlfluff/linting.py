"""Lints one file with SQLFluff's own steps; runs only in a lint child."""

import difflib
import io
import sys
from typing import Any, TypeAlias

from sqlfluff.core.errors import SQLFluffUserError
from sqlfluff.core.linter import LintedFile, RenderedFile
from sqlfluff.core.linter.linted_dir import LintedDir
from sqlfluff.core.linter.linted_file import TMP_PRS_ERROR_TYPES
from sqlfluff.core.rules import RulePack

from pipeline.adapters.sqlfluff import inline, shortcuts
from pipeline.adapters.sqlfluff.decoding import NotText, decode
from pipeline.adapters.sqlfluff.logbook import Logbook
from pipeline.adapters.sqlfluff.preparing import BadConfig, Prepared, Workshop
from pipeline.states import Reason

# SQLFluff gets no path: a result must not depend on where the file lies.
NAME = "this file"
MAX_LINE_CHARS = 240
MAX_MESSAGE_CHARS = 2000

Reply: TypeAlias = dict[str, Any]


class Engine:
    """One per child process; holds the configurations it has built."""

    def __init__(self) -> None:
        self._book = Logbook.attach()
        self._workshop = Workshop(self._book)

    def lint(self, header: dict[str, Any], data: bytes) -> Reply:
        """The reply for one piece of work; total but for an exhausted machine."""
        try:
            return {"reason": None, "message": "", "result": self._result(header, data)}
        except NotText as error:
            return failure(Reason.UNREADABLE, str(error))
        except BadConfig as error:
            return failure(Reason.BAD_CONFIG, str(error))
        except SQLFluffUserError as error:
            return failure(Reason.BAD_CONFIG, str(error).strip())
        except MemoryError:
            return failure(Reason.OUT_OF_MEMORY, "SQLFluff ran out of memory on this file.")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  (a Rust panic is a BaseException)
            return failure(Reason.ENGINE_ERROR, _sentence(error))
        finally:
            shortcuts.forget()
            self._book.take()
            sys.setrecursionlimit(1000)

    def _result(self, header: dict[str, Any], data: bytes) -> dict[str, Any]:
        disable_noqa = bool(header["disable_noqa"])
        prepared = self._workshop.prepare(
            f"{header['digest']} {disable_noqa}", header["config"], disable_noqa
        )
        self._book.take()
        text, encoding = decode(data, prepared.config.get("encoding", default="autodetect"))
        lines = inline.scan(text)
        config, rules = prepared.for_one_file(), prepared.rules
        if lines.honoured:
            config, rules = prepared.with_lines(lines.honoured)
        sys.setrecursionlimit(prepared.recursion_limit)
        rendered = _render(prepared, text, config, encoding)
        linted = prepared.linter.lint_rendered(rendered, rules)
        result = _describe(linted, rendered.source_str)
        result["encoding"] = encoding
        result["fixed"] = result["diff"] = None
        if header["fix"]:
            self._add_fix(result, prepared, rendered, rules)
        if self._book.out_of_memory:  # a rule met it, and SQLFluff took it for a fault of the rule
            raise MemoryError
        result["warnings"] = [*prepared.warnings, *lines.refused, *self._book.take()]
        return result

    def _add_fix(
        self, result: dict[str, Any], prepared: Prepared, rendered: RenderedFile, rules: RulePack
    ) -> None:
        """``fixed`` and ``diff``, where ``sqlfluff fix`` would write the file."""
        if not any(violation["fixable"] for violation in result["violations"]):
            return
        linted = prepared.linter.lint_rendered(rendered, rules, fix=True)
        errors = linted.num_violations(
            types=TMP_PRS_ERROR_TYPES, filter_ignore=False, filter_warning=False
        )
        if errors and not rendered.config.get("fix_even_unparsable"):
            return
        if linted.num_violations(fixable=True, filter_warning=False) == 0:
            return
        fixed, success = linted.fix_string()
        if success and fixed != rendered.source_str:
            result["fixed"] = fixed
            result["diff"] = _diff(rendered.source_str, fixed)


def failure(reason: Reason, message: str) -> Reply:
    """The reply for a file without a result."""
    return {"reason": reason.value, "message": message[:MAX_MESSAGE_CHARS], "result": None}


def _render(prepared: Prepared, text: str, config: Any, encoding: str) -> RenderedFile:
    try:
        return prepared.linter.render_string(text, NAME, config, encoding)
    except ValueError as error:
        if prepared.linter.templater.name == "placeholder":
            # Its templater checks its own configuration only now.
            raise BadConfig(str(error)) from None
        raise


def _describe(linted: LintedFile, source: str) -> dict[str, Any]:
    """Violations as ``LintedDir`` writes and orders them, statistics, and the lines around."""
    found: list[dict[str, Any]] = [
        {**violation.to_dict(), "fixable": violation.fixable}
        for violation in linted.get_violations(filter_warning=False)
    ]
    found.sort(key=lambda one: (one["start_line_no"], one["start_line_pos"], one["code"]))
    record = LintedDir("", retain_files=False)
    record.add(linted)
    return {
        "violations": found,
        "statistics": record.as_records()[0]["statistics"],
        "lines": _lines_around(source, {one["start_line_no"] for one in found}),
    }


def _lines_around(source: str, numbers: set[int]) -> dict[str, str]:
    if not numbers:
        return {}
    lines = source.split("\n")
    wanted = {near for number in numbers for near in (number - 1, number, number + 1)}
    return {
        str(number): lines[number - 1][:MAX_LINE_CHARS]
        for number in sorted(wanted)
        if 1 <= number <= len(lines)
    }


def _diff(before: str, after: str) -> str:
    """A unified diff; readers put the file's path in place of ``{path}``."""
    parts = difflib.unified_diff(
        io.StringIO(before).readlines(),  # lines end at "\n" only
        io.StringIO(after).readlines(),
        "a/{path}",
        "b/{path}",
    )
    return "".join(
        part if part.endswith("\n") else f"{part}\n\\ No newline at end of file\n" for part in parts
    )


def _sentence(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"SQLFluff is unable to lint this file: {type(error).__name__}: {text}"
