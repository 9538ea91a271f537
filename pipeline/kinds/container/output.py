"""The output files of a job's container."""

import uuid
from contextlib import closing
from typing import BinaryIO

from pipeline.core import executions
from pipeline.core.context import Context
from pipeline.errors import NotFound
from pipeline.kinds.container.keeping import output_name


def write(job_id: uuid.UUID, out: BinaryIO, context: Context) -> None:
    """Write the tar archive of what the container left in ``/app/output``.

    Raises ``NotFound`` while it runs, and when it never came to leave anything.
    """
    for execution in executions.of_job(job_id):
        with closing(context.blobs.open_named(output_name(execution))) as stream:
            while piece := stream.read(1024 * 1024):
                out.write(piece)
        return
    raise NotFound("The job has no container.")
