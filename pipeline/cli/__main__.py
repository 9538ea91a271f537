"""``python -m pipeline.cli`` is ``quayline``."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
