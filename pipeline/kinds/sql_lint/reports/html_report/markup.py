"""Small pieces of HTML; every text goes through ``text``, which leaves nothing to interpret."""

import html
from functools import lru_cache

from pipeline.kinds.sql_lint.reports.characters import visible


# A page says the same thousands of times: rules, their descriptions, keywords.
@lru_cache(maxsize=4096)
def text(value: str) -> str:
    """Return the value for an element or a quoted attribute, controls shown as escapes."""
    return html.escape(visible(value), quote=True)


def short(value: object, limit: int) -> str:
    """Return the text escaped, cut at ``limit`` characters."""
    shown = str(value)
    return text(shown if len(shown) <= limit else shown[:limit] + "…")


def number(value: int) -> str:
    """Return the number with its thousands apart."""
    return f"{value:,}"


def amount(value: int, noun: str) -> str:
    """Return number and noun, as in ``1 file`` and ``2 files``."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def path(value: str) -> str:
    """Return the path with its last part strong; it may break after each folder."""
    folder, slash, name = value.rpartition("/")
    breakable = short(folder + slash, 500).replace("/", "/<wbr>")
    return f'<span class="path">{breakable}<b>{short(name, 300)}</b></span>'


def duration(seconds: float | None) -> str:
    """Return a length of time as people say it."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def bar(share: float, kind: str = "") -> str:
    """Return one part of a bar, ``share`` of its width; decoration, its number stands beside it."""
    return f'<i class="{kind}" style="width:{max(0.0, min(1.0, share)) * 100:.2f}%"></i>'
