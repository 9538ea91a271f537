"""What a version of a template is called: its name, and after ``@`` its number."""

import re
from typing import Annotated

from pydantic import Field

from pipeline.errors import Refused

REF = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,99}(@[1-9][0-9]{0,8})?$"

Ref = Annotated[str, Field(pattern=REF)]


def split(ref: str) -> tuple[str, int | None]:
    """Return the name and the version of ``NAME`` or ``NAME@VERSION``."""
    if not re.fullmatch(REF, ref):
        raise Refused(f"{ref[:120]!r} names no template: write NAME or NAME@VERSION.")
    name, _, version = ref.partition("@")
    return name, int(version) if version else None
