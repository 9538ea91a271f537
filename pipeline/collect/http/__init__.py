"""Asking web servers: bounded in time and size, patient with those that are busy."""
