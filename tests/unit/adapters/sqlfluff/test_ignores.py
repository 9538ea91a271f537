"""Which files are taken out, as ``sqlfluff lint .`` takes them out."""

import time

from pipeline.adapters.sqlfluff.ignores import IgnoreRules


def _rules(**files: str) -> IgnoreRules:
    rules = IgnoreRules()
    for directory, text in files.items():
        assert rules.add_file("" if directory == "root" else directory, text.encode()) == []
    return rules


def test_patterns_are_relative_to_their_own_directory():
    rules = IgnoreRules()
    rules.add_file("a/b", b"x.sql\n/y.sql\n")

    assert rules.ignores("a/b/x.sql")
    assert rules.ignores("a/b/c/x.sql")
    assert rules.ignores("a/b/y.sql")
    assert not rules.ignores("a/b/c/y.sql")
    assert not rules.ignores("x.sql")
    assert not rules.ignores("a/x.sql")


def test_ignored_directory_is_pruned_whatever_its_own_files_say():
    rules = IgnoreRules()
    rules.add_file("", b"build/\n")
    rules.add_file("build", b"!*.sql\n")

    assert rules.ignores("build/x.sql")
    assert rules.ignores("a/build/deep/er/x.sql")
    assert not rules.ignores("a/built/x.sql")


def test_comments_blank_lines_and_negation_mean_what_they_mean_in_git():
    rules = _rules(root="# comment\n\n*.sql\n!keep.sql\r\n")

    assert rules.ignores("x.sql")
    assert not rules.ignores("keep.sql")


def test_patterns_of_a_key_hold_like_those_of_a_file():
    rules = IgnoreRules()
    rules.add("models", "tmp_*,old/".split(","))

    assert rules.ignores("models/tmp_a.sql")
    assert rules.ignores("models/old/a.sql")
    assert not rules.ignores("tmp_a.sql")


def test_leading_dot_slash_changes_nothing():
    assert _rules(root="a.sql\n").ignores("./a.sql")


def test_hostile_patterns_are_refused_or_stay_within_a_budget():
    rules = IgnoreRules()
    hostile = ["*a" * 30 + "b", "a" * 5000, *(["*a*a*ab"] * 400)]
    refused = rules.add_file("", "\n".join(hostile).encode())

    assert len(refused) > 200
    started_s = time.process_time()
    for number in range(200):
        rules.ignores("a" * 240 + str(number))
        rules.ignores("a" * 5000 + str(number))
    assert time.process_time() - started_s < 10


def test_ignore_file_that_is_no_text_or_too_large_is_refused():
    assert IgnoreRules().add_file("", b"\xff\xfe\x00")
    assert IgnoreRules().add_file("", b"x\n" * 10**6)
