"""Jinja behind a fence: foreign templates are rendered in a process that may do little."""

from pipeline.adapters.jinja.rendering import TemplateFailed, render

__all__ = ["TemplateFailed", "render"]
