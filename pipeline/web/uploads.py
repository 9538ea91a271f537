"""The body of an upload, read piece by piece from the thread that stores it.

Nothing of it is held but the piece at hand. Who sends too slowly or not to the end is told
so, and what was stored so far is given up by whoever reads.
"""

import asyncio
from collections.abc import AsyncIterator

from anyio import from_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from pipeline.errors import Refused
from pipeline.states import Reason
from pipeline.web.figures import Figures
from pipeline.web.pace import Pace
from pipeline.web.problems import HttpProblem


class UploadBody:
    """A request's body; ``read`` is called in a worker thread of the request's event loop."""

    def __init__(self, request: Request, figures: Figures, *, patience_s: float) -> None:
        self._pieces: AsyncIterator[bytes] = aiter(request.stream())
        self._figures = figures
        self._patience_s = patience_s
        self._pace = Pace(patience_s)
        self.size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, of whatever length it came in; ``b""`` after the last."""
        try:
            return from_thread.run(self._next)
        except ClientDisconnect as error:
            raise Refused("The upload stopped half-way.", reason=Reason.TRUNCATED) from error

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience_s):
                # The stream of a request ends with an empty piece, and has no other.
                piece = await anext(self._pieces, b"")
        except TimeoutError:
            raise HttpProblem(408, f"Nothing came for {self._patience_s:g} s.") from None
        self.size_bytes += len(piece)
        self._figures.upload_bytes.inc(len(piece))
        self._pace.check(self.size_bytes)
        return piece
