"""The configuration above a source: what SQLFluff would read from the home folder and on the way.

The order is that of SQLFluff's ``core/config/loader.py`` (``load_config_up_to_path``): the user's
configuration folder, the home folder, then the parents from below the home folder down to the
source's root. What lies in the root and below travels in the source itself.
"""

import os
from collections.abc import Iterator
from pathlib import Path

#: The weakest first.
NAMES = ("setup.cfg", "tox.ini", "pep8.ini", ".sqlfluff", "pyproject.toml")

Layer = tuple[str, str]


def layers_above(root: Path) -> list[Layer]:
    """Return (file name, text) of every config file that counts for ``root`` from outside it."""
    found: list[Layer] = []
    for folder in _folders(root):
        found.extend(layers_in(folder))
    return found


def layers_in(folder: Path) -> list[Layer]:
    """Return the config files of one folder; those that do not speak of SQLFluff are left out."""
    found = []
    for name in NAMES:
        try:
            text = (folder / name).read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if "sqlfluff" in text:
            found.append((name, text))
    return found


def _folders(root: Path) -> list[Path]:
    home = Path("~").expanduser()
    between = [*_way(home, root)][1:]
    from_here = [*_way(Path.cwd(), root)]
    ordered = [_user_folder(), home, *between, *from_here]
    # A folder met twice counts where it is met last, since there it overrides itself.
    return [
        folder
        for place, folder in enumerate(ordered)
        if folder not in ordered[place + 1 :] and folder != root
    ]


def _user_folder() -> Path:
    folder = Path("~/.config/sqlfluff").expanduser()
    if folder.exists():
        return folder
    import platformdirs

    return Path(platformdirs.user_config_dir("sqlfluff", "sqlfluff"))


def _way(start: Path, inner: Path) -> Iterator[Path]:
    """Yield the folders from what both have in common down to above ``inner``."""
    common = Path(os.path.commonpath([start.absolute(), inner]))
    for parent in reversed(inner.parents):
        if parent.is_relative_to(common):
            yield parent
