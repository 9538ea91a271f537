"""Measurements of the whole path: ``python -m tests.benchmarks`` (``make bench``).

One module per bench, all in ``registry``. What is compared is run in pairs, in turn, in one run;
ratios carry over from machine to machine, seconds do not.
"""
