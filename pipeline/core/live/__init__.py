"""Jobs as they go on: what is new in their rows, told as messages that programs can follow.

A viewer has a ``Follow`` of a job; ``looking.look`` reads what is new for many of them at one
moment, and each ``Follow`` makes messages of it: ``transition`` (rows of the history), ``progress``
(of a task, or of the job where it has too many), ``job`` (its counts) and ``end``.
"""

from pipeline.core.live.following import Follow, Message
from pipeline.core.live.looking import look
from pipeline.core.live.news import News, TaskNews, Wish

__all__ = ["Follow", "Message", "News", "TaskNews", "Wish", "look"]
