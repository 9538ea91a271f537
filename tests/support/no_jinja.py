"""The process that renders templates, where Jinja is not installed."""

import runpy
import sys

sys.modules["jinja2"] = None  # type: ignore[assignment]
runpy.run_module("pipeline.adapters.jinja.child", run_name="__main__")
