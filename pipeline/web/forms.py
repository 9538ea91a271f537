"""multipart/form-data read part by part as it streams in (RFC 7578)."""

from collections import deque
from collections.abc import Iterator
from pathlib import PurePosixPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pipeline.errors import Refused
from pipeline.states import Reason
from pipeline.web.uploads import UploadBody

MOST_PARTS = 20
MOST_HEAD_BYTES = 8 * 1024

_END_OF_PART = b""


class Part:
    """One field of a form; ``read`` returns its content until ``b""``."""

    def __init__(self, form: "Form", name: str, filename: str | None) -> None:
        self._form = form
        self.name = name
        self.filename = filename

    def read(self, size: int = -1) -> bytes:
        """Return the next piece of the content."""
        return self._form.next_piece()

    def whole(self, limit_bytes: int) -> bytes:
        """Return all of the content; ``Refused`` (too_large) past the limit."""
        pieces, size = [], 0
        while piece := self.read():
            size += len(piece)
            if size > limit_bytes:
                raise Refused(
                    f"The field {self.name!r} is larger than the limit of {limit_bytes} bytes"
                    " (QUAYLINE_API_MAX_BODY_BYTES).",
                    reason=Reason.TOO_LARGE,
                )
            pieces.append(piece)
        return b"".join(pieces)


class Form:
    """The parts of a body, in the order in which they come; each is read to its end before the
    next."""

    def __init__(self, body: UploadBody, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary or len(boundary) > 70:
            raise Refused("The form's Content-Type names no boundary of 1 to 70 characters.")
        self._body = body
        self._heads: deque[tuple[str, str | None]] = deque()
        self._pieces: deque[bytes] = deque()
        self._head: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""
        self._is_over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_head,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def parts(self) -> Iterator[Part]:
        """Yield the parts; ``Refused`` for a form that is none, or is cut off."""
        for _ in range(MOST_PARTS):
            while not self._heads and not self._is_over:
                self._feed()
            if not self._heads:
                return
            part = Part(self, *self._heads.popleft())
            yield part
            while part.read():
                continue
            self._pieces.popleft()
        raise Refused(f"The form has more than {MOST_PARTS} fields.")

    def next_piece(self) -> bytes:
        """Return the next piece of the part at hand; its end again and again."""
        while not self._pieces:
            self._feed()
        return self._pieces[0] and self._pieces.popleft()

    def _feed(self) -> None:
        data = self._body.read()
        if not data:
            raise Refused("The form is cut off before its end.", reason=Reason.TRUNCATED)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Refused("The body is no multipart/form-data as its boundary says.") from error

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._check_head()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_head()

    def _check_head(self) -> None:
        told = sum(len(name) + len(value) for name, value in self._head.items())
        if told + len(self._field) + len(self._value) > MOST_HEAD_BYTES:
            raise Refused(f"A field's head is longer than {MOST_HEAD_BYTES} bytes.")

    def _on_header_end(self) -> None:
        self._head[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _on_head(self) -> None:
        told, options = parse_options_header(self._head.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if told != b"form-data" or not name:
            raise Refused(
                "A part of the form has no name (Content-Disposition: form-data; name=…)."
            )
        filename = options.get(b"filename")
        self._heads.append((name, None if filename is None else plain_name(filename)))
        self._head = {}

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            self._pieces.append(data[start:end])

    def _on_part_end(self) -> None:
        self._pieces.append(_END_OF_PART)

    def _on_end(self) -> None:
        self._is_over = True


def plain_name(told: bytes | str) -> str:
    """Return a file's name as it may be shown: no folders, nothing unprintable, not too long."""
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else told
    name = PurePosixPath(text.replace("\\", "/")).name
    return "".join(each for each in name if each.isprintable())[:255] or "upload"
