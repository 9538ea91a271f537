"""What our own images are built on: Debian with Python, as `python`, and its venv."""

from tests.support.images.debian import Debian

_IMAGE = Debian("quayline-test-python", ("python3", "python-is-python3", "python3-venv"))

name, build = _IMAGE.name, _IMAGE.build
