"""The command line: ``quayline``. Entry point ``pipeline.cli.main:main``."""
