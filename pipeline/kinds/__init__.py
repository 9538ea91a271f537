"""Kinds of jobs, one folder each, independent of one another."""
