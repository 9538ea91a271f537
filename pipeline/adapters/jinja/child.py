"""The process that renders one template: an order in JSON on standard input, the answer on output.

Its limits are set before the template is seen. What a template can reach is in Jinja's sandbox,
with no loader: it includes nothing.
"""

import json
import resource
import sys
from typing import Any

from pipeline import processes
from pipeline.adapters.jinja.rendering import NOT_INSTALLED

try:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    sys.exit(NOT_INSTALLED)

#: What a template may raise by what it does with its values.
ITS_OWN = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError)


def main() -> None:
    """Render what is told; end with the thread that waits for it."""
    processes.die_with_parent(int(sys.argv[1]))
    order = json.load(sys.stdin.buffer)
    resource.setrlimit(resource.RLIMIT_AS, (order["memory_bytes"], order["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CPU, (order["cpu_s"], order["cpu_s"]))
    # Neither files nor processes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    sys.stdout.buffer.write(json.dumps(_answer(order)).encode())


def _answer(order: dict[str, Any]) -> dict[str, str]:
    try:
        return {"text": _rendered(order)}
    except (MemoryError, RecursionError):
        return {"error": "The template takes too much memory."}
    except ITS_OWN as error:
        told = f"{type(error).__name__}: {error}"[:500]
        line = getattr(error, "lineno", None) or _line(error)
        return {"error": f"The template fails{f' in line {line}' if line else ''}: {told}"}


def _rendered(order: dict[str, Any]) -> str:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=order["escapes"], keep_trailing_newline=True
    )
    pieces, characters = [], 0
    for piece in environment.from_string(order["template"]).generate(order["values"]):
        characters += len(piece)
        if characters > order["most_characters"]:
            raise ValueError(f"more than {order['most_characters']} characters")
        pieces.append(piece)
    return "".join(pieces)


def _line(error: BaseException) -> int | None:
    """Return the template's line that raised the error."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


if __name__ == "__main__":
    main()
