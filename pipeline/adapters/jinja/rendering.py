"""Renders a template in a process of its own, which can be ended whatever the template does.

It has nothing of this process: no variables, no files that are open here.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson

from pipeline import jsontext
from pipeline.errors import Permanent
from pipeline.states import Reason

#: A template may take so long, in seconds, and its process so much memory.
LIMIT_S = 10.0
MEMORY_BYTES = 512 * 1024 * 1024
#: How often is looked whether it should stop, in seconds.
LOOK_S = 0.1
MODULE = "pipeline.adapters.jinja.child"
#: How the child says that the extra is not installed.
NOT_INSTALLED = 3


class TemplateFailed(Permanent):
    """Raised for a template that is none, breaks off, or takes too much."""

    default_reason = Reason.BAD_REQUEST


def render(
    template: str,
    values: dict[str, Any],
    *,
    escapes: bool,
    most_characters: int,
    stopped: Callable[[], bool],
) -> str:
    """Return the text. ``escapes``: values are put in as HTML takes them.

    Raises ``TemplateFailed`` with the template's line, and for one that is told to stop.
    """
    order = {
        **{"template": template, "values": values, "escapes": escapes},
        **{"most_characters": most_characters, "memory_bytes": MEMORY_BYTES, "cpu_s": int(LIMIT_S)},
    }
    code, told = _told(jsontext.encoded(order), stopped)
    if code == NOT_INSTALLED:
        raise Permanent("This worker lacks jinja2: pip install 'quayline[services]'.")
    if code != 0:
        raise TemplateFailed(f"The template took more than {LIMIT_S:g} s, or ended its process.")
    answer: dict[str, str] = orjson.loads(told)
    if "error" in answer:
        raise TemplateFailed(answer["error"])
    return answer["text"]


def _told(order: bytes, stopped: Callable[[], bool]) -> tuple[int, bytes]:
    path = os.pathsep.join(each for each in sys.path if each)
    child = subprocess.Popen(
        [sys.executable, "-m", MODULE, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": path, "PYTHONUTF8": "1"},
        start_new_session=True,
    )
    ends_at = time.monotonic() + LIMIT_S
    given: bytes | None = order
    with child:
        try:
            while time.monotonic() < ends_at:
                try:
                    told, _ = child.communicate(given, timeout=LOOK_S)
                    return child.returncode, told
                except subprocess.TimeoutExpired:
                    # It goes on with what it was given.
                    given = None
                    if stopped():
                        raise TemplateFailed("The call was stopped.") from None
            return -1, b""
        finally:
            child.kill()
