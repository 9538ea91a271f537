"""SQLFluff behind a fence: configuration through an allow-list, linting in killable children.

Importing this package does not import SQLFluff; only the lint processes do.
"""

from pipeline.adapters.sqlfluff.config import (
    ConfigProblem,
    ConfigTree,
    Effective,
    RefusedKey,
    is_config_name,
)
from pipeline.adapters.sqlfluff.pool import LintPool, LintReply, LintWork
from pipeline.adapters.sqlfluff.version import engine_version

__all__ = [
    "ConfigProblem",
    "ConfigTree",
    "Effective",
    "LintPool",
    "LintReply",
    "LintWork",
    "RefusedKey",
    "engine_version",
    "is_config_name",
]
