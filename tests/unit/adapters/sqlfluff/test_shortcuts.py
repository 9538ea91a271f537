"""Each shortcut answers as the function of SQLFluff that it replaces, segment by segment."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from sqlfluff.core import FluffConfig, Linter
from sqlfluff.core.parser.segments.base import BaseSegment
from sqlfluff.core.parser.segments.raw import RawSegment
from sqlfluff.core.rules import get_ruleset
from sqlfluff.core.rules.context import RuleContext
from sqlfluff.core.rules.crawlers import SegmentSeekerCrawler
from sqlfluff.utils.analysis import select
from sqlfluff.utils.reflow.elements import ReflowElement

from pipeline.adapters.sqlfluff import shortcuts, tree_index
from pipeline.adapters.sqlfluff.tree_index import TooDeep, TreeIndex

SHOP = Path(__file__).parents[3] / "samples" / "shop"
#: But one, of which there is no tree.
SAMPLES = sorted(path for path in SHOP.rglob("*.sql") if path.stem != "unfinished_merge")

#: Beside the shop's files: what is unparsable in part, nests, or is empty.
TEXTS = (
    "",
    "-- nothing but this\n",
    "SELECT a FROM t WHERE (SELECT b FROM (SELECT c AS d FROM u AS v) AS w) IN (1, (2), ((3)))\n",
    "WITH x AS (SELECT 1), y AS (WITH z AS (SELECT a FROM x) SELECT * FROM z) SELECT * FROM y\n",
    "SELECT a FROM t WHERE b ==== (SELECT c FROM d) AND e;\nSELECT f, FROM g\n",
    "MERGE INTO t USING (SELECT a FROM s) AS q ON t.a = q.a WHEN MATCHED THEN UPDATE SET b = q.b\n",
    "SELECT a, CASE WHEN b THEN (SELECT max(c) OVER (PARTITION BY d) FROM e) END AS f FROM g\n",
)


CONFIG = FluffConfig(overrides={"dialect": "postgres"})
DIALECT = CONFIG.get("dialect_obj")


def parsed(text: str) -> BaseSegment:
    tree = Linter(config=CONFIG).parse_string(text).tree
    assert tree is not None
    return tree


@pytest.fixture(
    scope="module",
    params=[*TEXTS, *SAMPLES],
    ids=lambda one: one.stem if isinstance(one, Path) else str(TEXTS.index(one)),
)
def root(request: pytest.FixtureRequest) -> BaseSegment:
    """A parse tree."""
    told = request.param
    return parsed(told.read_text() if isinstance(told, Path) else told)


@pytest.fixture
def tree(root: BaseSegment) -> Iterator[BaseSegment]:
    """The tree, indexed as while its file is linted."""
    shortcuts._index = TreeIndex(root)
    yield root
    shortcuts.forget()


def types_of(tree: BaseSegment) -> list[str]:
    return sorted({*tree.descendant_type_set, *tree.class_types, "merge_statement"})


def some(found: list[Any], most: int) -> list[Any]:
    """Return at most about so many of them, from the first to the last."""
    return found[:: max(1, len(found) // most)]


def test_every_segment_finds_what_it_found_before(tree: BaseSegment):
    pairs: list[tuple[str, ...]] = [("keyword", "expression"), ("object_reference", "bracketed")]
    wanted = [(one,) for one in some(types_of(tree), 25)] + pairs
    walls: list[Any] = [None, "select_statement", ["bracketed", "expression"]]
    for segment in some(list(tree.recursive_crawl_all()), 40):
        for types, into, wall in product(wanted, (True, False), walls):
            told: dict[str, Any] = {"recurse_into": into, "no_recursive_seg_type": wall}
            theirs = list(BaseSegment.recursive_crawl(segment, *types, **told))
            ours = list(shortcuts._crawl(segment, *types, **told))
            assert list(map(id, ours)) == list(map(id, theirs)), (types, told)
    theirs = list(tree.recursive_crawl(*tree.class_types, allow_self=False))
    ours = list(shortcuts._crawl(tree, *tree.class_types, allow_self=False))
    assert list(map(id, ours)) == list(map(id, theirs))


def test_elements_have_the_types_that_sqlfluff_tells_in_their_order(root: BaseSegment):
    raws = root.raw_segments
    for size, first in product((0, 1, 2, 3), range(len(raws))):
        segments = raws[first : first + size]
        theirs = ReflowElement._class_types(segments)
        for _ in range(2):
            assert list(shortcuts._element_types(segments)) == list(theirs)


def test_types_are_those_that_sqlfluff_tells(tree: BaseSegment):
    pairs = some(list(combinations(types_of(tree), 2)), 60)
    for segment in tree.recursive_crawl_all():
        raw = isinstance(segment, RawSegment)
        is_type: Any = shortcuts._raw_is_type if raw else shortcuts._is_type
        if isinstance(segment, RawSegment):
            assert shortcuts._raw_class_types(segment) == segment.class_types
        assert [is_type(segment, *pair) for pair in pairs] == [
            segment.is_type(*pair) for pair in pairs
        ]


def test_paths_are_those_that_sqlfluff_tells(tree: BaseSegment):
    segments = list(tree.recursive_crawl_all())
    for top, other in product(some(segments, 25), some(segments, 50)):
        assert shortcuts._path(top, other) == top.path_to(other)


def test_every_crawler_of_a_rule_visits_what_it_visited_before(tree: BaseSegment):
    rules = get_ruleset().get_rulepack(CONFIG).rules
    crawlers = [rule.crawl_behaviour for rule in rules]
    seekers = [each for each in crawlers if isinstance(each, SegmentSeekerCrawler)]
    seekers += [
        SegmentSeekerCrawler({kind}, allow_recurse=again, works_on_unparsable=unparsable)
        for kind in types_of(tree)
        for again in (True, False)
        for unparsable in (True, False)
    ]
    assert len(seekers) > 40
    for crawler in seekers:
        theirs = [seen(each) for each in crawler.crawl(context(tree))]
        ours = [seen(each) for each in shortcuts._seek_in_index(crawler, context(tree))]
        assert ours == theirs, crawler.types


def context(tree: BaseSegment) -> RuleContext:
    return RuleContext(
        dialect=DIALECT,
        fix=False,
        templated_file=None,
        path=None,
        config=CONFIG,
        segment=tree,
    )


def seen(told: RuleContext) -> tuple[object, ...]:
    stack = tuple(map(id, told.parent_stack))
    return (id(told.segment), stack, told.segment_idx, tuple(map(id, told.raw_stack)))


def test_select_is_analyzed_once_and_everybody_gets_lists_of_his_own(
    monkeypatch: pytest.MonkeyPatch,
):
    root = parsed("SELECT a.b AS c, d FROM t AS a INNER JOIN u USING (e)\n")
    statement = next(root.recursive_crawl("select_statement"))
    theirs = select.get_select_statement_info(statement, DIALECT)
    monkeypatch.setattr(shortcuts, "_index", TreeIndex(root))
    ours = shortcuts._select_info_once(statement, DIALECT)
    assert ours == theirs
    ours.table_aliases.clear()
    ours.reference_buffer.append(statement)
    monkeypatch.setattr(shortcuts, "_select_info", None)
    assert shortcuts._select_info_once(statement, DIALECT) == theirs


def test_copy_of_a_segment_is_not_taken_for_it(tree: BaseSegment):
    copy = tree.copy()
    assert list(shortcuts._crawl(copy, "raw")) == list(copy.recursive_crawl("raw"))
    inside = {id(one) for one in copy.recursive_crawl_all()}
    assert {id(one) for one in shortcuts._crawl(copy, "raw")} <= inside


def test_very_deep_tree_is_left_to_sqlfluff(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tree_index, "MAX_DEPTH", 12)
    root = parsed("SELECT (((1 + (2))))\n")
    with pytest.raises(TooDeep):
        TreeIndex(root)
    [rule] = get_ruleset().get_rulepack(CONFIG).rules[:1]
    monkeypatch.setattr(shortcuts, "_crawl_rule", lambda *_: shortcuts._index)
    assert shortcuts._crawl_indexed(rule, root, None, False) is None
    assert shortcuts._deep_root is root
    shortcuts.forget()
    assert shortcuts._deep_root is None


def in_its_own_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_lint_process_takes_them():
    code = """if True:
        from pipeline.adapters.sqlfluff import shortcuts, zygote
        from sqlfluff.core.rules.base import BaseRule
        zygote._load_engine()
        from sqlfluff.rules.aliasing import AL05
        print(BaseRule.crawl is shortcuts._crawl_indexed,
              AL05.get_select_statement_info is shortcuts._select_info_once)
    """
    assert in_its_own_process(code) == "True True"


def test_nothing_is_replaced_where_one_function_is_another():
    code = """if True:
        from pipeline.adapters.sqlfluff import shortcuts
        from sqlfluff.core.rules.base import BaseRule
        shortcuts.KNOWN["BaseRule.crawl"] = "another"
        print(shortcuts.install(), BaseRule.crawl is shortcuts._crawl_rule)
    """
    assert in_its_own_process(code) == "False True"


def test_nothing_is_replaced_where_sqlfluff_came_without_its_source():
    code = """if True:
        import inspect
        from pipeline.adapters.sqlfluff import shortcuts
        from sqlfluff.core.rules.base import BaseRule
        def missing(function):
            raise OSError("could not get source code")
        inspect.getsource = missing
        print(shortcuts.install(), BaseRule.crawl is shortcuts._crawl_rule)
    """
    assert in_its_own_process(code) == "False True"
