"""The configuration of a file is what SQLFluff would load for it, through the allow-list."""

import json
from typing import Any

import pytest

from pipeline.adapters.sqlfluff import ConfigTree, Effective, is_config_name
from pipeline.states import Reason


def _merged(effective: Effective, part: str = "file") -> dict[str, Any]:
    merged: dict[str, Any] = {}

    def combine(into: dict[str, Any], values: dict[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                combine(into.setdefault(key, {}), value)
            else:
                into[key] = value

    for layer in effective.document[part]:
        combine(merged, layer["values"])
    combine(merged.setdefault("core", {}), effective.document["overrides"])
    return merged


def _core(tree: ConfigTree, path: str, part: str = "file") -> dict[str, Any]:
    core: dict[str, Any] = _merged(tree.effective(path), part)["core"]
    return core


def test_nearer_directories_win_over_farther_ones():
    tree = ConfigTree(
        {
            ".sqlfluff": b"[sqlfluff]\ndialect = ansi\nmax_line_length = 100\n",
            "a/b/.sqlfluff": b"[sqlfluff]\ndialect = postgres\n",
        }
    )

    assert _core(tree, "a/x.sql") == {"dialect": "ansi", "max_line_length": 100}
    assert _core(tree, "a/b/c/x.sql") == {"dialect": "postgres", "max_line_length": 100}
    assert _core(tree, "a/b/x.sql", "root")["dialect"] == "ansi"


def test_names_in_one_directory_win_in_sqlfluffs_order():
    names = ["setup.cfg", "tox.ini", "pep8.ini", ".sqlfluff"]
    files = {
        name: f"[sqlfluff]\nmax_line_length = {at}\n".encode() for at, name in enumerate(names)
    }
    files["pyproject.toml"] = b"[tool.sqlfluff.core]\nmax_line_length = 99\n"

    assert _core(ConfigTree(files), "x.sql")["max_line_length"] == 99
    del files["pyproject.toml"]
    for at in (3, 2, 1, 0):
        assert _core(ConfigTree(files), "x.sql")["max_line_length"] == at
        del files[names[at]]


def test_base_is_weakest_extra_is_stronger_and_overrides_are_strongest():
    def tree(**given: Any) -> ConfigTree:
        return ConfigTree(
            {"a/.sqlfluff": b"[sqlfluff]\nmax_line_length = 2\n"},
            base=[("~/.sqlfluff", b"[sqlfluff]\nmax_line_length = 1\nwarnings = LT01\n")],
            **given,
        )

    extra = ("mine.cfg", b"[sqlfluff]\nmax_line_length = 3\n")
    assert _core(tree(), "x.sql")["max_line_length"] == 1
    assert _core(tree(), "a/x.sql") == {"max_line_length": 2, "warnings": "LT01"}
    assert _core(tree(extra=extra), "a/x.sql")["max_line_length"] == 3
    both = tree(extra=extra, overrides={"max_line_length": 4, "rules": None})
    assert _core(both, "a/x.sql")["max_line_length"] == 4


def test_values_are_taken_for_what_sqlfluff_takes_them_for():
    text = b"""[sqlfluff]
rules = None
max_line_length = 1_00
ignore_templated_areas = TRUE
[sqlfluff:templater:jinja:context]
a.b = 1.5
C = text with = sign
Path_To_dir = x
[sqlfluff:rules:capitalisation.keywords]
capitalisation_policy = upper
[other]
key = ignored
"""
    assert _merged(ConfigTree({".sqlfluff": text}).effective("x.sql")) == {
        "core": {"rules": None, "max_line_length": 100, "ignore_templated_areas": True},
        "templater": {
            "jinja": {"context": {"a": {"b": 1.5}, "C": "text with = sign", "Path_To_dir": "x"}}
        },
        "rules": {"capitalisation.keywords": {"capitalisation_policy": "upper"}},
    }


def test_toml_rule_names_are_joined_and_contexts_keep_their_types():
    text = b"""[tool.sqlfluff.core]
rules = ["LT01", "CP01"]
[tool.sqlfluff.rules.capitalisation.keywords]
capitalisation_policy = "lower"
[tool.sqlfluff.templater.jinja.context]
items = [1, {a = 2}]
day = 2020-01-01
"""
    assert _merged(ConfigTree({"pyproject.toml": text}).effective("x.sql")) == {
        "core": {"rules": ["LT01", "CP01"]},
        "rules": {"capitalisation.keywords": {"capitalisation_policy": "lower"}},
        "templater": {"jinja": {"context": {"items": [1, {"a": 2}], "day": "2020-01-01"}}},
    }


def test_directories_with_the_same_configuration_share_one_digest():
    text = b"[sqlfluff]\ndialect = ansi\n"
    tree = ConfigTree({"a/.sqlfluff": text, "b/.sqlfluff": text, "c/.sqlfluff": text + b"\n# x\n"})
    digests = {tree.effective(f"{name}/x.sql").digest for name in "abc"}

    assert len(digests) == 1
    assert tree.effective("x.sql").digest not in digests
    assert tree.effective("a/x.sql") is tree.effective("a/y.sql")


def test_keys_that_decide_only_which_files_are_linted_do_not_change_the_digest():
    plain = ConfigTree({".sqlfluff": b"[sqlfluff]\ndialect = ansi\n"})
    ignoring = b"[sqlfluff]\ndialect = ansi\nignore_paths = a/\nsql_file_exts = .sql\nverbose=2\n"

    assert ConfigTree({".sqlfluff": ignoring}).effective("x").digest == plain.effective("x").digest


def test_document_is_json():
    tree = ConfigTree({"pyproject.toml": b"[tool.sqlfluff.core]\nmax_line_length = 80\n"})
    document = tree.effective("x.sql").document

    assert json.loads(json.dumps(document)) == document


def test_refused_keys_say_where_they_stand_and_why():
    tree = ConfigTree(
        {"a/setup.cfg": b"[sqlfluff:templater:jinja]\nlibrary_path = lib\n"},
        overrides={"library_path": "lib", "dialect": "ansi"},
        extra=("mine.cfg", b"[sqlfluff]\nnonsense = 1\n"),
    )

    assert [(one.origin, one.key) for one in tree.refused] == [
        ("a/setup.cfg", "templater:jinja:library_path"),
        ("mine.cfg", "core:nonsense"),
        ("command line", "library_path"),
    ]
    assert "lib" not in json.dumps(tree.effective("a/x.sql").document)
    assert str(tree.refused[0]).startswith("a/setup.cfg: templater:jinja:library_path is not hon")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".sqlfluff", b"no section\n"),
        (".sqlfluff", b"[sqlfluff]\na = 1\na = 2\n"),
        (".sqlfluff", b"\xff\xfe\x00"),
        (".sqlfluff", b"[sqlfluff]\ndialect = ansi" + b" " * 5000 + b"x\n"),
        (".sqlfluff", b"#" * 2_000_000),
        ("pyproject.toml", b"[tool.sqlfluff\n"),
        ("pyproject.toml", b"[tool.sqlfluff]\nrules = 'LT01'\n"),
        ("pyproject.toml", b"a = " + b"[" * 10000 + b"]" * 10000),
        ("pyproject.toml", b"[tool.sqlfluff." + b"a." * 200 + b"b]\nc = 1\n"),
        ("pyproject.toml", b"[tool.sqlfluff]\n" + b"a." * 200_000 + b"b = 1\n"),
        (".sqlfluff", b"[sqlfluff]\n" + (b"a" + b" " * 1900 + b"x\n") * 500),
        (".sqlfluff", b"[sqlfluff:" + b"a:" * 100_000 + b"b]\nc = 1\n"),
    ],
)
def test_broken_file_is_a_problem_of_the_files_below_it_only(name: str, text: bytes):
    tree = ConfigTree({f"a/{name}": text, "b/.sqlfluff": b"[sqlfluff]\ndialect = ansi\n"})
    problem = tree.effective("a/b/x.sql").problem

    assert problem is not None
    assert problem.reason is Reason.BAD_CONFIG
    assert f"a/{name}" in problem.message
    assert "Traceback" not in problem.message
    assert tree.effective("b/x.sql").problem is None
    assert tree.effective("x.sql").problem is None


def test_broken_root_file_is_a_problem_of_every_file():
    assert ConfigTree({".sqlfluff": b"x"}).effective("a/b.sql").problem is not None


def test_configuration_of_one_job_is_bounded():
    text = b"[sqlfluff]\ndialect = ansi\n" + b"#" * 1_000_000
    tree = ConfigTree({f"{number:03}/.sqlfluff": text for number in range(40)})
    problems = [tree.effective(f"{number:03}/x.sql").problem for number in range(40)]

    assert problems[0] is None
    assert problems[-1] is not None


def test_extensions_come_from_the_root_configuration():
    nested = {"a/.sqlfluff": b"[sqlfluff]\nsql_file_exts = .nested\n"}

    assert ConfigTree(nested).sql_file_exts == (".sql", ".sql.j2", ".dml", ".ddl", ".pkb")
    root = {".sqlfluff": b"[sqlfluff]\nsql_file_exts = .SQL,.hql\n"}
    assert ConfigTree(nested | root).sql_file_exts == (".sql", ".hql")
    assert ConfigTree(root, overrides={"sql_file_exts": ".q"}).sql_file_exts == (".q",)


def test_ignore_paths_and_ignore_files_take_files_out():
    tree = ConfigTree(
        {
            ".sqlfluffignore": b"*_old.sql\n",
            "a/.sqlfluff": b"[sqlfluff]\nignore_paths = tmp/,x.sql\n",
            "b/pyproject.toml": b'[tool.sqlfluff.core]\nignore_paths = ["y.sql"]\n',
            "c/setup.cfg": b"[sqlfluff]\nignore_paths = z.sql\n",
        }
    )

    assert tree.ignores("q_old.sql")
    assert tree.ignores("a/tmp/1.sql")
    assert tree.ignores("a/x.sql")
    assert tree.ignores("b/y.sql")
    assert not tree.ignores("x.sql")
    assert not tree.ignores("c/z.sql")  # SQLFluff reads this key from two names only


@pytest.mark.parametrize("name", [".sqlfluff", "pyproject.toml", "tox.ini", ".sqlfluffignore"])
def test_configuration_is_known_by_its_whole_name(name: str):
    assert is_config_name(name)
    assert is_config_name(f"a/b/{name}")
    assert not is_config_name(f"a/my{name}")
    assert not is_config_name(f"{name}/x.sql")
