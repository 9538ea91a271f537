"""The ``dramatiq`` command with its own lines in our form: what ``quayline worker`` supervises."""

import sys

from dramatiq import cli

from pipeline import logs
from pipeline.cli import keeper
from pipeline.settings import get_settings


def main() -> int:
    """Run ``dramatiq`` with the arguments of this process; return its exit code."""
    settings = get_settings()
    logs.configure(settings.log_level, settings.log_format)
    keeper.install()
    told = cli.make_argument_parser().parse_args([*sys.argv[1:], "--skip-logging"])
    return int(cli.main(told))


if __name__ == "__main__":
    sys.exit(main())
