"""Where everything lies in the parse tree of one file, found once instead of by each rule.

SQLFluff's rules search the tree about a hundred times a file, each time from the top. While a file
is linted (not fixed) nobody changes its tree, so one walk can note the place of every segment by
its types. Segments are known by identity: a copy of one is not in the tree.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlfluff.core.parser.segments.base import BaseSegment, PathStep

#: Deeper trees are left to SQLFluff itself: it may meet Python's recursion limit there, which is
#: then a part of its result.
MAX_DEPTH = 100


class TooDeep(Exception):
    """Raised when a tree has more levels than ``MAX_DEPTH``."""


class TreeIndex:
    """The segments of a tree in the order of a walk from the top, parents before children.

    A segment's *place* is its number in that order; what is below it has the places up to
    ``ends[place]``, exclusive.
    """

    def __init__(self, root: BaseSegment) -> None:
        self.root = root
        self.segments: list[BaseSegment] = []
        self.parents: list[int] = []  # places; the root's is -1
        self.positions: list[int] = []  # among the children of the parent
        self.ends: list[int] = []
        self.place_of: dict[int, int] = {}  # by id()
        self.select_infos: dict[tuple[int, int, bool], Any] = {}
        self._by_type: dict[str, list[int]] = {}
        self._stacks: dict[int, tuple[BaseSegment, ...]] = {-1: ()}
        self._add(root, -1, 0, 0)

    def _add(self, segment: BaseSegment, parent: int, position: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooDeep
        place = len(self.segments)
        self.segments.append(segment)
        self.parents.append(parent)
        self.positions.append(position)
        self.ends.append(place + 1)
        self.place_of[id(segment)] = place
        by_type = self._by_type
        for kind in segment.class_types:
            places = by_type.get(kind)
            if places is None:
                by_type[kind] = [place]
            else:
                places.append(place)
        if segment.segments:
            for number, child in enumerate(segment.segments):
                self._add(child, place, number, depth + 1)
            self.ends[place] = len(self.segments)

    def find(self, types: Iterable[str], first: int, end: int) -> Sequence[int]:
        """Return the places from ``first`` up to ``end`` of segments of one of the types."""
        found = []
        for kind in types:
            places = self._by_type.get(kind)
            if places:
                begin = bisect_left(places, first)
                stop = bisect_left(places, end, begin)
                if begin < stop:
                    found.append(places[begin:stop])
        if len(found) < 2:
            return found[0] if found else ()
        return sorted(set().union(*found))

    def outside(
        self, places: Sequence[int], walls: Sequence[int], *, nested: bool
    ) -> Iterable[int]:
        """Yield those of the places that are not walls nor below one; both are in order.

        Without ``nested`` those below one that was yielded are left out, too.
        """
        ends, number, closed_until = self.ends, 0, 0
        for place in places:
            while number < len(walls) and walls[number] <= place:
                closed_until = max(closed_until, ends[walls[number]])
                number += 1
            if place >= closed_until:
                yield place
                if not nested:
                    closed_until = ends[place]

    def stack(self, place: int) -> tuple[BaseSegment, ...]:
        """Return the segment at the place and what it lies in, from the root on."""
        found = self._stacks.get(place)
        if found is None:
            found = (*self.stack(self.parents[place]), self.segments[place])
            self._stacks[place] = found
        return found

    def path(self, top: int, place: int) -> list[PathStep]:
        """Return SQLFluff's path from the segment at ``top`` to the one at ``place`` below it."""
        steps = []
        while place != top:
            parent = self.parents[place]
            segment = self.segments[parent]
            steps.append(
                PathStep(
                    *(segment, self.positions[place]),
                    *(len(segment.segments), segment._code_indices),
                )
            )
            place = parent
        steps.reverse()
        return steps

    def crawl(
        self, place: int, types: Sequence[str], barred: Collection[str], *, into: bool
    ) -> list[BaseSegment]:
        """Return what lies below the place and is of one of the types, as SQLFluff crawls.

        Not what is of a barred type, or below one; without ``into`` nothing below what was found.
        """
        end = self.ends[place]
        found = self.find(types, place + 1, end)
        if not found:
            return []
        if barred or not into:
            walls = self.find(barred, place + 1, end) if barred else ()
            found = list(self.outside(found, walls, nested=into))
        segments = self.segments
        return [segments[each] for each in found]
