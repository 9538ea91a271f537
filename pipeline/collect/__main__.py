"""``python -m pipeline.collect``: the command of the collectors' container."""

import sys

from pipeline.collect.main import main

if __name__ == "__main__":
    sys.exit(main())
