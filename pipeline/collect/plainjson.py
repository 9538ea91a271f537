"""Values as JSON that any reader takes: finite numbers, no NUL, no half characters."""

import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd") | {0: "\ufffd"}
_NUL = "\\u0000"


def plain(value: Any) -> Any:
    """Return the value as JSON knows it: None for other numbers, text that any store takes."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.translate(_SURROGATES)
    if isinstance(value, dict):
        return {plain(str(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return plain(str(value))


def dumped(value: Any, *, sort_keys: bool = False) -> str:
    """Return one line of JSON."""
    try:
        # Most values are plain, and looking at each of their parts takes several times as long.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
        text.encode()
    except (ValueError, TypeError):
        text = _NUL
    if _NUL not in text:
        return text
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)


def loaded(content: bytes | str) -> Any:
    """Return what strangers' JSON says; raises ``ValueError`` for what is none.

    ``NaN`` and ``Infinity``, which Python reads and JSON does not know, come as None.
    """
    try:
        return json.loads(content, parse_constant=lambda name: None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
