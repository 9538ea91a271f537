"""The base image: Debian with Python and requests."""

from tests.support.images.debian import Debian

PYTHON_VERSION = "3.11"
_IMAGE = Debian("quayline-test-base", ("python3", "python-is-python3", "python3-requests"))

name, build = _IMAGE.name, _IMAGE.build
