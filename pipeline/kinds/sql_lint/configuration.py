"""The configuration of one job, the same for the submitter who selects files and the worker."""

from collections.abc import Mapping

from pipeline.adapters.sqlfluff.config import ConfigTree
from pipeline.adapters.sqlfluff.ignores import IGNORE_FILE
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.settings import Settings


def config_tree(files: Mapping[str, bytes], parameters: LintParameters) -> ConfigTree:
    """Return the tree of these configuration files under what the submitter told."""
    told = parameters
    if not told.local_config:
        files = {name: text for name, text in files.items() if name.endswith(IGNORE_FILE)}
    return ConfigTree(
        files,
        overrides=told.core_overrides(),
        extra=(told.config_name, told.config.encode()) if told.config is not None else None,
        base=[(name, text.encode()) for name, text in told.base_configs],
    )


def sql_suffixes(settings: Settings, tree: ConfigTree) -> tuple[str, ...]:
    """Return the lower-case endings of names that count as SQL."""
    if settings.lint_suffixes:
        told = (each.strip().lower() for each in settings.lint_suffixes.split(","))
        return tuple(each for each in told if each)
    return tree.sql_file_exts
