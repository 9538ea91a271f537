"""What runs inside a container, or as a child process: three collectors and their heartbeats.

``python -m pipeline.collect`` reads one task's config document, collects pages, records or rows
into ``OUTPUT_DIR``, tells the service how far it is, and may be killed and started again at any
moment: what was collected stays, once. It imports nothing of ``pipeline`` but this package.
"""
