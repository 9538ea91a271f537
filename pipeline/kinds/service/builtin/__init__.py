"""The services that come with Quayline: chat and texts by models, documents, and what needs no
network for texts and SQL.

A module is a service. What it calls is imported by its call: a worker offers all of them, and one
whose library is not installed says what to install.
"""

from pipeline.kinds.service.builtin import (  # noqa: F401
    chat,
    doc_generator,
    language,
    render,
    sentiment,
    sql_explain,
    statistics,
    text_analyzer,
)
