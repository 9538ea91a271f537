"""JSON as rows, results and lint processes carry it: compact, in UTF-8 that everybody takes."""

import json
from typing import Any

import orjson


def encoded(value: Any) -> bytes:
    """Return the value as JSON; half a surrogate pair, which is no character, becomes ``?``."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # such a half, a number beyond 64 bits, or hundreds of levels
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )
