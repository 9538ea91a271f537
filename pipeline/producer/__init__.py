"""The producer library: what other programs import to submit jobs and follow them.

>>> from pipeline import Client
>>> with Client() as client:
...     job = client.lint("repo.zip", dialect="postgres").wait()
...     print(job.status, job.verdict()["counts"])

Usable from threads and web applications: every call takes a pooled connection and gives it back.
Neither SQLFluff nor Docker is imported. A broker that is away neither loses a job nor holds up
the caller for longer than ``QUAYLINE_BROKER_TIMEOUT_S``.
"""

from pipeline.core.jobs import Progress
from pipeline.core.live import Message
from pipeline.core.schedules.fires import Fire
from pipeline.core.schedules.rows import Schedule
from pipeline.core.templates.rows import Template
from pipeline.producer.client import Client
from pipeline.producer.job import Job
from pipeline.producer.schedules import Schedules
from pipeline.producer.templates import Templates

__all__ = [
    "Client",
    "Fire",
    "Job",
    "Message",
    "Progress",
    "Schedule",
    "Schedules",
    "Template",
    "Templates",
]
