"""Builds SQLFluff's own configuration objects from a document; runs only in a lint child."""

from collections import OrderedDict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from sqlfluff.core import FluffConfig, Linter
from sqlfluff.core.config.validate import validate_config_dict
from sqlfluff.core.errors import SQLFluffUserError
from sqlfluff.core.helpers.dict import nested_combine
from sqlfluff.core.rules import RulePack

from pipeline.adapters.sqlfluff.logbook import Logbook

MAX_PREPARED = 32
DEFAULT_RECURSION_LIMIT = 1000
# What the platform decides for every file, above all layers.
DECIDED_HERE: dict[str, Any] = {
    "large_file_skip_byte_limit": 0,
    "large_file_skip_char_limit": 0,
    "use_rust_parser": "auto",
    "use_rust_rules": False,
}


#: Keys that load code or read files; no layer brings one here, whatever way it was written.
_FENCED = (
    ("core", "library_path"),
    *(
        ("templater", "jinja", key)
        for key in (
            *("library_path", "loader_search_path"),
            *("load_macros_from_path", "exclude_macros_from_path"),
        )
    ),
    ("templater", "dbt"),
)


class BadConfig(Exception):
    """Raised with a sentence when SQLFluff would refuse this configuration."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that files of one configuration share."""

    linter: Linter  # holds the templater of the root configuration, as the command does
    config: FluffConfig
    untouched: FluffConfig  # linting leaves marks in ``config``; copies are taken from this one
    rules: RulePack
    recursion_limit: int
    warnings: tuple[str, ...]
    lends: bool  # templates get to hold lists or mappings of it, and may change those

    def for_one_file(self) -> FluffConfig:
        """The configuration for a file without lines of its own; no file changes another's."""
        return self.untouched.copy() if self.lends else self.config

    def with_lines(self, lines: Iterable[str]) -> tuple[FluffConfig, RulePack]:
        """The configuration of a file that holds these (allowed) inline lines."""
        config = self.untouched.copy()
        with bad_config():
            for line in lines:
                config.process_inline_config(line, "this file")
            # The two steps SQLFluff takes after it has scanned a file's lines.
            config._handle_comma_separated_values()
            config._verify_rust_config()
            _refuse_fenced(config)
            return config, self.linter.get_rulepack(config=config)


class bad_config:  # noqa: N801  (reads as a statement)
    """What SQLFluff raises inside for a configuration becomes ``BadConfig``."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, SQLFluffUserError):
            raise BadConfig(str(error).strip()) from None
        if isinstance(error, KeyError) and error.args == ("Unknown dialect",):
            raise BadConfig("The configured dialect is not known to SQLFluff.") from None
        if isinstance(
            error, AssertionError | LookupError | ValueError | TypeError | AttributeError
        ):
            raise BadConfig(f"The configuration is not valid: {error}") from None


class Workshop:
    """Keeps the last configurations that were used, by digest."""

    def __init__(self, book: Logbook) -> None:
        self._book = book
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()

    def prepare(self, key: str, document: dict[str, Any], disable_noqa: bool) -> Prepared:
        """The objects for this configuration; ``BadConfig`` when SQLFluff refuses it."""
        found = self._prepared.get(key)
        if found is None:
            found = self._build(document, disable_noqa)
            self._prepared[key] = found
            if len(self._prepared) > MAX_PREPARED:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(key)
        return found

    def _build(self, document: dict[str, Any], disable_noqa: bool) -> Prepared:
        overrides = document["overrides"] | DECIDED_HERE
        if disable_noqa:
            overrides["disable_noqa"] = True
        self._book.take()
        root = _config(document["root"], overrides)
        linter = Linter(config=root)
        same = document["file"] == document["root"]
        config = root if same else _config(document["file"], overrides)
        with bad_config():
            rules = linter.get_rulepack(config=config)
        return Prepared(
            linter=linter,
            config=config,
            untouched=config.copy(),
            rules=rules,
            recursion_limit=root.get("recursion_limit") or DEFAULT_RECURSION_LIMIT,
            warnings=tuple(self._book.take()),
            lends=_lends(config),
        )


def _config(layers: list[dict[str, Any]], overrides: dict[str, Any]) -> FluffConfig:
    """SQLFluff's merge of these layers; nothing is read from the file system."""
    with bad_config():
        validated = []
        for layer in layers:
            values = deepcopy(layer["values"])
            validate_config_dict(values, layer["name"])
            validated.append(values)
        config = FluffConfig(
            configs=nested_combine(*validated),
            overrides=dict(overrides),
            ignore_local_config=True,
            require_dialect=False,
        )
        _refuse_fenced(config)
        return config


def _refuse_fenced(config: FluffConfig) -> None:
    """The last look at what SQLFluff will really use, behind every reader and merge."""
    for path in _FENCED:
        if config.get_section(path):
            raise BadConfig(f"The configuration sets {':'.join(path)}, which is not honoured.")


def _lends(config: FluffConfig) -> bool:
    context = config.get_section(("templater", "jinja", "context")) or {}
    return any(isinstance(value, list | dict) for value in context.values())
