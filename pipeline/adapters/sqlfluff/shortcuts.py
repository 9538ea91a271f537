"""Quicker ways to what SQLFluff computes, put in the place of its own in a lint process.

Each answers exactly what the function it replaces does, for the tree of the file that is being
linted, and leaves everything else (fixing, very deep trees, segments outside the tree) to that
function. They were written against the functions as they are; where an installed SQLFluff has
others, ``install`` replaces nothing, and a test says so.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlfluff.core.parser.segments.base import BaseSegment, PathStep
from sqlfluff.core.parser.segments.raw import RawSegment
from sqlfluff.core.rules.base import BaseRule
from sqlfluff.core.rules.context import RuleContext
from sqlfluff.core.rules.crawlers import SegmentSeekerCrawler
from sqlfluff.utils.analysis import select
from sqlfluff.utils.reflow.elements import ReflowElement

from pipeline.adapters.sqlfluff.tree_index import TooDeep, TreeIndex

#: What is replaced, and what that rests on.
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(BaseSegment.class_is_type, BaseSegment.is_type, RawSegment.is_type),
    *(BaseSegment.class_types.fget, RawSegment.class_types.fget),  # type: ignore[attr-defined]
    *(BaseSegment.recursive_crawl, BaseSegment.path_to, BaseSegment.get_parent),
    *(BaseRule.crawl, BaseRule._process_lint_result),
    *(SegmentSeekerCrawler.crawl, SegmentSeekerCrawler.is_self_match),
    *(SegmentSeekerCrawler.passes_filter, select.get_select_statement_info),
    ReflowElement._class_types,
)
#: The digests of their texts.
KNOWN = {
    "BaseSegment.class_is_type": "5c184fe844fce0f5",
    "BaseSegment.is_type": "6594b46096eae4bd",
    "RawSegment.is_type": "de295c6d805f401f",
    "BaseSegment.class_types": "8e4b95ce3a48099a",
    "RawSegment.class_types": "4286864b78488f4b",
    "BaseSegment.recursive_crawl": "7f09975e4e999e16",
    "BaseSegment.path_to": "b9996797f5dc558d",
    "BaseSegment.get_parent": "3b1150128fff9655",
    "BaseRule.crawl": "a5557ed407db1331",
    "BaseRule._process_lint_result": "942e5dbb601d03c3",
    "SegmentSeekerCrawler.crawl": "f5a158428ceff441",
    "SegmentSeekerCrawler.is_self_match": "691bd9b004df9f94",
    "BaseCrawler.passes_filter": "b65d42e44b31eba7",
    "get_select_statement_info": "bd1e991f79cfde79",
    "ReflowElement._class_types": "ae4e790bf5ab6c52",
}

#: So many combinations of types are remembered.
MOST_KEPT = 10_000

_crawl_rule = BaseRule.crawl
_seek = SegmentSeekerCrawler.crawl
_recursive_crawl = BaseSegment.recursive_crawl
_path_to = BaseSegment.path_to
_select_info = select.get_select_statement_info

#: The tree of the file that is being linted; the last one that was too deep.
_index: TreeIndex | None = None
_deep_root: BaseSegment | None = None
_raw_types: dict[tuple[type, tuple[str, ...]], frozenset[str]] = {}
_types_of_elements: dict[tuple[Any, ...], set[str]] = {}


def install() -> bool:
    """Replace SQLFluff's functions in this process; False when they are not those known here.

    To be called before SQLFluff loads its rules, which take some of them by name.
    """
    if strangers():
        return False
    replaced: tuple[tuple[Any, str, Any], ...] = (
        (BaseSegment, "is_type", _is_type),
        (RawSegment, "is_type", _raw_is_type),
        (RawSegment, "class_types", property(_raw_class_types)),
        (ReflowElement, "_class_types", staticmethod(_element_types)),
        (BaseSegment, "recursive_crawl", _crawl),
        (BaseSegment, "path_to", _path),
        (SegmentSeekerCrawler, "crawl", _seek_in_index),
        (BaseRule, "crawl", _crawl_indexed),
        (select, "get_select_statement_info", _select_info_once),
    )
    for owner, name, ours in replaced:
        setattr(owner, name, ours)
    return True


def strangers() -> dict[str, str]:
    """Return the digests of the functions that are not as they are known here, by their names."""
    found = {each.__qualname__: _digest(each) for each in FUNCTIONS}
    return {name: told for name, told in found.items() if told != KNOWN.get(name)}


def _digest(function: Callable[..., Any]) -> str:
    try:
        text = inspect.getsource(function)
    except OSError:  # installed without its source: nobody can tell
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def forget() -> None:
    """The file is done; its tree is not kept."""
    global _index, _deep_root
    _index = _deep_root = None


# --- types ------------------------------------------------------------------------------------
def _is_type(self: BaseSegment, *seg_type: str) -> bool:
    return not self._class_types.isdisjoint(seg_type)


def _raw_is_type(self: RawSegment, *seg_type: str) -> bool:
    for own in self.instance_types:
        if own in seg_type:
            return True
    return not self._class_types.isdisjoint(seg_type)


def _raw_class_types(self: RawSegment) -> frozenset[str]:
    key = (self.__class__, self.instance_types)
    found = _raw_types.get(key)
    if found is None:
        found = _raw_types[key] = frozenset(self.instance_types) | self._class_types
    return found


def _element_types(segments: Sequence[RawSegment]) -> set[str]:
    if len(segments) == 1:
        key: tuple[Any, ...] = (segments[0].__class__, segments[0].instance_types)
    else:
        key = tuple((each.__class__, each.instance_types) for each in segments)
    found = _types_of_elements.get(key)
    if found is None:
        if len(_types_of_elements) >= MOST_KEPT:
            _types_of_elements.clear()
        found = set(chain.from_iterable(each.class_types for each in segments))
        _types_of_elements[key] = found
    return found


# --- the tree ---------------------------------------------------------------------------------
def _crawl_indexed(
    self: BaseRule, tree: BaseSegment, dialect: Any, fix: bool, *told: Any, **named: Any
) -> Any:
    """Let a rule work on the tree, which is indexed when the first one does."""
    global _index, _deep_root
    if fix:
        forget()
    elif (_index is None or _index.root is not tree) and _deep_root is not tree:
        try:
            _index = TreeIndex(tree)
        except TooDeep:
            _index, _deep_root = None, tree
    return _crawl_rule(self, tree, dialect, fix, *told, **named)


def _seek_in_index(self: SegmentSeekerCrawler, context: RuleContext) -> Iterator[RuleContext]:
    """Yield the context of each segment of the wanted types, as SQLFluff's own search does."""
    index, root = _index, context.segment
    if (
        index is None
        or root is not index.root
        or self.provide_raw_stack
        or type(self) is not SegmentSeekerCrawler
    ):
        yield from _seek(self, context)
        return
    end = len(index.segments)
    places = index.find(self.types, 0, end)
    walls = () if self.works_on_unparsable else index.find(("unparsable",), 0, end)
    above = context.parent_stack
    for place in index.outside(places, walls, nested=self.allow_recurse):
        if place:
            context.segment = index.segments[place]
            context.parent_stack = above + index.stack(index.parents[place])
            context.segment_idx = index.positions[place]
        yield context


def _crawl(
    self: BaseSegment,
    *seg_type: str,
    recurse_into: bool = True,
    no_recursive_seg_type: str | list[str] | None = None,
    allow_self: bool = True,
) -> Iterator[BaseSegment]:
    place = None if _index is None else _index.place_of.get(id(self))
    if _index is None or place is None:
        return _recursive_crawl(
            self,
            *seg_type,
            recurse_into=recurse_into,
            no_recursive_seg_type=no_recursive_seg_type,
            allow_self=allow_self,
        )
    barred = no_recursive_seg_type or []
    if isinstance(barred, str):
        barred = [barred]
    matches = allow_self and self.is_type(*seg_type)
    found = [self] if matches else []
    if recurse_into or not matches:
        found += _index.crawl(place, seg_type, barred, into=recurse_into)
    return iter(found)


def _path(self: BaseSegment, other: BaseSegment) -> list[PathStep]:
    if _index is not None:
        top, place = _index.place_of.get(id(self)), _index.place_of.get(id(other))
        if top is not None and place is not None and top < place < _index.ends[top]:
            return _index.path(top, place)
    return _path_to(self, other)


def _select_info_once(segment: BaseSegment, dialect: Any, early_exit: bool = True) -> Any:
    """Analyze a select statement once for all the rules that ask; each gets lists of its own."""
    if _index is None or id(segment) not in _index.place_of:
        return _select_info(segment, dialect, early_exit)
    key = (id(segment), id(dialect), early_exit)
    if key not in _index.select_infos:
        _index.select_infos[key] = _select_info(segment, dialect, early_exit)
    found = _index.select_infos[key]
    if found is None:
        return None
    return found._make(list(each) if isinstance(each, list) else each for each in found)
