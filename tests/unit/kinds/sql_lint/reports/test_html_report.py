"""HTML: one file that loads nothing, interprets no text it was given, and stays small."""

import re
from html.parser import HTMLParser

import pytest

from pipeline.kinds.sql_lint.reports.html_report import sections
from tests.unit.kinds.sql_lint.reports import kit

VOID = {"meta", "link", "input", "br", "wbr", "rect", "path"}


class Page(HTMLParser):
    """The page's tags, attributes and texts; refuses tags that do not close."""

    def __init__(self, markup):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, *attribute) for attribute in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page_of(report):
    return Page(kit.written("html", report).decode())


def test_page_says_verdict_figures_places_and_reasons():
    text = page_of(kit.small()).text
    for said in (
        "Gate failed",
        "2 violations of severity error.",
        "capitalisation.keywords",
        "2 errors, 1 warning",
        "12.5 s",
        "sqlfluff 4.5.0",
        "templater.jinja.library_path in .sqlfluff was refused: it loads code.",
        "It took longer than 60 s.",
        "timed out · time limit",
        "An archive inside the archive.",
        "1 file without violations",
        "Cached",
    ):
        assert said in text
    assert "Gate passed" in page_of(kit.report([kit.linted("a.sql")])).text


def test_violation_is_marked_in_its_line():
    file = kit.linted(
        "a.sql",
        kit.violation("CP01", 2, 8, end_line_no=2, end_line_pos=11),
        lines={"1": "-- head", "2": "SELECT  abc FROM t", "3": "-- foot"},
    )
    markup = kit.written("html", kit.report([file])).decode()
    assert '<b>2</b><code>SELECT <mark class="e" title="CP01"> ab</mark>c FROM t</code>' in markup
    assert "-- head" in markup
    assert "-- foot" in markup


@pytest.mark.parametrize(
    ("fields", "marked"),
    [
        ({"start_line_pos": 4, "end_line_pos": 4}, "&nbsp;"),
        ({"start_line_pos": 900, "end_line_pos": 901}, "&nbsp;"),
        ({"start_line_pos": 2, "end_line_no": 5, "end_line_pos": 1}, "bc"),
        ({"start_line_pos": 2, "end_line_no": None, "end_line_pos": None}, "b"),
        ({"start_line_pos": 0, "end_line_pos": 0}, "a"),
    ],
    ids=["behind the line", "far behind", "several lines", "no end", "no column"],
)
def test_odd_places_are_marked_somewhere_sensible(fields, marked):
    file = kit.linted("a.sql", kit.violation(**fields), lines={"1": "abc"})
    markup = kit.written("html", kit.report([file])).decode()
    assert re.findall(r"<mark[^>]*>(.*?)</mark>", markup) == [marked]


def test_narrow_violation_is_marked_inside_a_wide_one():
    wide = kit.violation("LT09", 1, 1, end_line_no=1, end_line_pos=9)
    narrow = kit.violation("CP01", 1, 3, end_line_no=1, end_line_pos=5, warning=True)
    markup = kit.written(
        "html", kit.report([kit.linted("a.sql", wide, narrow, lines={"1": "abcdefgh"})])
    ).decode()
    marks = re.findall(r'<mark class="(.)" title="(\w+)">(.*?)</mark>', markup)
    assert marks == [("e", "LT09", "ab"), ("w", "CP01", "cd"), ("e", "LT09", "efgh")]


def test_hostile_texts_are_shown_and_never_interpreted():
    page = page_of(kit.hostile())
    assert page.tags.count("script") == 1
    assert "alert(1)" in page.text
    assert {name for _, name, _ in page.attributes if name.startswith("on")} == set()
    assert {tag for tag in page.tags if tag in ("iframe", "img", "object", "base")} == set()


def test_page_loads_nothing_and_its_policy_says_so():
    page = page_of(kit.small())
    policy = next(value for _, _, value in page.attributes if "default-src" in str(value))
    assert policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy
    assert not [a for a in page.attributes if a[1] == "src"]
    targets = [value for tag, name, value in page.attributes if name == "href"]
    assert all(t.startswith(("#", "data:", "https://docs.sqlfluff.com/")) for t in targets)
    markup = kit.written("html", kit.small()).decode()
    style = markup.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_baseline_tells_new_from_known():
    file = kit.linted("a.sql", kit.violation(), kit.violation(line=2), new=frozenset({1}))
    page = page_of(kit.report([file], parameters={"fail_on": "new"}))
    assert "New only" in page.text
    assert "1 new" in page.text
    assert "known" in page.text


def test_empty_job_has_a_page():
    assert "The job had no file to lint." in page_of(kit.report()).text


def test_page_of_a_huge_job_is_cut_and_says_where_the_rest_is(monkeypatch):
    monkeypatch.setattr(sections, "MAX_VIOLATIONS", 20)
    monkeypatch.setattr(sections, "MAX_VIOLATIONS_OF_A_FILE", 8)
    monkeypatch.setattr(sections, "MAX_SECTIONS", 5)
    many = [kit.violation(line=number) for number in range(1, 11)]
    files = [kit.linted(f"{number}.sql", *many) for number in range(7)]
    page = page_of(kit.report(files))
    assert page.tags.count("mark") == 20
    assert "at most 20 of the 70 violations" in page.text
    assert "the first 5 of 7 files" in page.text
    assert "the first 8 of 10 violations of this file; the JSON report has all." in page.text
    assert "Showing none of 10 violations" in page.text
    assert {v for _, name, v in page.attributes if name == "id" and re.fullmatch(r"f\d+", v)} == {
        f"f{number}" for number in range(5)
    }


def test_hundred_thousand_violations_stay_below_twelve_megabytes():
    def files():
        many = [kit.violation(f"LT{n:02d}", 1 + 2 * n) for n in range(10)]
        for number in range(10_000):
            yield kit.linted(f"models/mart_{number % 99}/model_{number}.sql", *many)

    assert len(kit.written("html", kit.streamed(files))) < 12_000_000
