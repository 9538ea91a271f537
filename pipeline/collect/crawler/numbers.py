"""Numbers as people write them on pages."""

import re

_NUMBER = re.compile(r"[-−]?\d(?:[\d.,'’ \u00a0\u202f]*\d)?")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")


def number_in(text: str) -> int | float | None:
    """Return the first number of a text: of ``.`` and ``,`` the last one is the decimal point.

    A comma alone, before groups of three digits, is none; a point alone, once, is one.
    """
    found = _NUMBER.search(text)
    if found is None:
        return None
    digits = re.sub(r"['’ \u00a0\u202f]", "", found[0]).replace("−", "-")
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and point >= 0:
        thousands = "," if comma < point else "."
        digits = digits.replace(thousands, "").replace(",", ".")
    elif comma >= 0:
        whole = _THOUSANDS.fullmatch(digits.lstrip("-"))
        digits = digits.replace(",", "" if whole else ".")
    if digits.count(".") > 1:
        digits = digits.replace(".", "")
    if len(digits) > 300:
        return None
    return float(digits) if "." in digits else int(digits)
