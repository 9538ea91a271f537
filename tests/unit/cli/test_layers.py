"""The configuration above a source is found where SQLFluff finds it, in its order."""

from pathlib import Path

import pytest
from sqlfluff.core.config.loader import load_config_up_to_path

from pipeline.cli.layers import layers_above


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """home/ and elsewhere/, each with a/b/c, every folder with a config of its own."""
    for start in ("home", "elsewhere"):
        for depth in ("", "a", "a/b", "a/b/c"):
            folder = tmp_path / start / depth
            folder.mkdir(exist_ok=True, parents=True)
            name = f"{start}/{depth}"
            (folder / ".sqlfluff").write_text(
                f"[sqlfluff]\nrules = {name}\nin_{start}_{len(depth)} = 1\n"
            )
    user = tmp_path / "home/.config/sqlfluff"
    user.mkdir(parents=True)
    (user / "setup.cfg").write_text("[sqlfluff]\nuser = 1\n")
    (tmp_path / ".sqlfluff").write_text("[sqlfluff]\ntop = 1\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("cwd", "root"),
    [
        ("home/a/b", "home/a/b"),
        ("home", "home"),
        ("elsewhere/a/b", "elsewhere/a/b"),
        ("home/a", "elsewhere/a/b"),
        ("elsewhere/a", "elsewhere/a/b"),
        ("elsewhere/a/b/c", "elsewhere/a/b"),
    ],
)
def test_layers_add_up_to_what_sqlfluff_loads(tree, monkeypatch, cwd, root):
    monkeypatch.chdir(tree / cwd)
    told: dict[str, str] = {}
    own = (tree / root / ".sqlfluff").read_text()
    for _, text in [*layers_above(tree / root), (".sqlfluff", own)]:
        told.update(
            tuple(part.strip() for part in line.split("="))
            for line in text.splitlines()
            if "=" in line
        )
    loaded = load_config_up_to_path(str(tree / root))["core"]
    assert isinstance(loaded, dict)
    assert told == {key: str(value) for key, value in loaded.items()}


def test_files_that_do_not_speak_of_sqlfluff_stay_at_home(tree, monkeypatch):
    (tree / "home/pyproject.toml").write_text('[tool.private]\ntoken = "x"\n')
    monkeypatch.chdir(tree / "home/a")
    assert "pyproject.toml" not in [name for name, _ in layers_above(Path.cwd())]
