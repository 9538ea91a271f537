"""Engines: what runs container jobs. ``open_engine`` gives the one of an address."""

from pipeline.adapters.engines.opening import open_engine

__all__ = ["open_engine"]
