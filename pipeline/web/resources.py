"""What a request was about: type and id of a resource, read from the address of its route."""

from collections.abc import Mapping

#: Words of addresses whose resource has another name, or whose singular is not theirs less an s.
_NAMED = {
    "monitoring": "execution",
    "task": "execution",
    "dead-letters": "dead_letter",
    "access-log": "access_log",
    "statistics": "statistics",
}
_PREFIX = "/api/v1/"


def resource_of(
    route: str, parameters: Mapping[str, object], location: str = ""
) -> tuple[str | None, str | None]:
    """Return both for a declared route and its path's parameters; None for what there is not.

    ``location``: the address of what the request has made, whose last word is the id.
    """
    _, prefix, rest = route.partition(_PREFIX)
    if not prefix:
        return None, None
    word = rest.partition("/")[0]
    kind = _NAMED.get(word) or word.removesuffix("s").replace("-", "_")
    made = location.rpartition("/")[2] or None
    first = next(iter(parameters.values()), made)
    return kind, None if first is None else str(first)
