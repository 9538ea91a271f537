"""Short lines for people: what happens on stdout, what goes wrong on stderr."""

import logging
import sys

from pipeline.collect.secrets import Redaction

_FORM = "%(asctime)s %(levelname)s %(message)s"


def configure_logs(redaction: Redaction) -> None:
    """From now on lines go out one by one, without secrets."""
    out = logging.StreamHandler(sys.stdout)
    out.addFilter(lambda record: record.levelno < logging.ERROR)
    err = logging.StreamHandler(sys.stderr)
    err.setLevel(logging.ERROR)
    for handler in (out, err):
        handler.addFilter(redaction)
        handler.setFormatter(logging.Formatter(_FORM))
    logging.basicConfig(level=logging.INFO, handlers=[out, err], force=True)
    # They log whole URLs, in which tokens ride.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
