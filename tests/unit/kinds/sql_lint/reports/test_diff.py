"""The patch: Git itself applies it and gets the fixed files."""

import difflib
import os
import re
import subprocess

import pytest

from tests.unit.kinds.sql_lint.reports import kit

BEFORE = "select 1\nFROM t\nWHERE x = '{path}'\n\x0b-- naïve\n"
AFTER = "SELECT 1\nFROM t\nWHERE x = '{path}'\n\x0b-- naïve\n"


def changed(path, before=BEFORE, after=AFTER, **fields):
    old, new = (re.findall("[^\n]*\n", text) for text in (before, after))
    diff = "".join(difflib.unified_diff(old, new, "a/{path}", "b/{path}"))
    return kit.linted(path, fixed=after, diff=diff, **fields)


def apply(tmp_path, patch):
    alone = {"PATH": os.environ["PATH"], "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    (tmp_path / "the.patch").write_bytes(patch)
    subprocess.run(
        ["git", "apply", "--verbose", "the.patch"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
        env=alone,
    )


@pytest.mark.parametrize(
    ("path", "encoding"),
    [
        ("models/orders.sql", "utf-8"),
        ("slow query.sql", "utf-8"),
        ("数据/表.sql", "utf-8"),
        ('a"quoted".sql', "utf-8"),
        ("marked.sql", "utf-8-sig"),
        ("old.sql", "latin-1"),
    ],
)
def test_git_applies_the_patch(tmp_path, path, encoding):
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(BEFORE.encode(encoding))
    apply(tmp_path, kit.written("diff", kit.report([changed(path, encoding=encoding)])))
    assert target.read_bytes() == AFTER.encode(encoding)


def test_byte_order_mark_stands_on_an_unchanged_first_line_too(tmp_path):
    before, after = "-- head\nselect 1\n", "-- head\nSELECT 1\n"
    (tmp_path / "a.sql").write_bytes(before.encode("utf-8-sig"))
    file = changed("a.sql", before, after, encoding="utf-8-sig")
    apply(tmp_path, kit.written("diff", kit.report([file])))
    assert (tmp_path / "a.sql").read_bytes() == after.encode("utf-8-sig")


def test_several_files_are_one_patch(tmp_path):
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_bytes(BEFORE.encode())
    patch = kit.written(
        "diff", kit.report([changed("a.sql"), kit.linted("same.sql"), changed("b.sql")])
    )
    apply(tmp_path, patch)
    assert (tmp_path / "a.sql").read_bytes() == (tmp_path / "b.sql").read_bytes() == AFTER.encode()


def test_sixteen_bit_text_is_named_and_does_not_break_the_patch(tmp_path):
    (tmp_path / "b.sql").write_bytes(BEFORE.encode())
    files = [changed("a.sql", encoding="utf-16"), changed("b.sql")]
    patch = kit.written("diff", kit.report(files))
    assert patch.startswith(b"# a.sql: not in this patch")
    apply(tmp_path, patch)
    assert (tmp_path / "b.sql").read_bytes() == AFTER.encode()


def test_nothing_changed_is_an_empty_patch():
    assert kit.written("diff", kit.small()) == b""


def test_path_that_leaves_its_folder_is_not_patched():
    assert kit.written("diff", kit.report([changed("../a.sql")])) == b""


def test_file_with_windows_line_ends_keeps_them(tmp_path):
    (tmp_path / "a.sql").write_bytes(BEFORE.replace("\n", "\r\n").encode())
    file = changed("a.sql", newline="\r\n")
    apply(tmp_path, kit.written("diff", kit.report([file])))
    assert (tmp_path / "a.sql").read_bytes() == AFTER.replace("\n", "\r\n").encode()


def test_last_line_without_an_end_keeps_lacking_it(tmp_path):
    (tmp_path / "a.sql").write_bytes(b"select 1")
    hunk = "@@ -1 +1 @@\n-select 1\n\\ No newline at end of file\n+SELECT 1\n"
    hunk += "\\ No newline at end of file\n"
    file = kit.linted("a.sql", fixed="SELECT 1", diff=f"--- a/{{path}}\n+++ b/{{path}}\n{hunk}")
    apply(tmp_path, kit.written("diff", kit.report([file])))
    assert (tmp_path / "a.sql").read_bytes() == b"SELECT 1"
