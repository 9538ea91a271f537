"""The units: systemd understands all of each, and they leave little open."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from pipeline.cli.roles import RoleName

UNITS = sorted((Path(__file__).parents[3] / "deploy" / "systemd").glob("*.service"))
INSTALLED = "/opt/quayline/bin"
VERIFY_S = 60
#: Of 100 (`systemd-analyze security`); a service without any of it has 96.
MOST_EXPOSED = 20


def analyze(*told: str) -> "subprocess.CompletedProcess[str]":
    """Run ``systemd-analyze``, which needs no systemd that runs."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.fail("systemd is not installed: run `make services`.", pytrace=False)
    return subprocess.run(
        [program, *told], capture_output=True, text=True, timeout=VERIFY_S, check=False
    )


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, each worker's too, with programs that are there."""
    assert len(UNITS) == 3
    for unit in UNITS:
        told = unit.read_text().replace(INSTALLED, sysconfig.get_path("scripts"))
        for role in RoleName if "@" in unit.name else [""]:
            (tmp_path / unit.name.replace("@", f"@{role}")).write_text(told)
    return sorted(str(each) for each in tmp_path.iterdir())


def test_systemd_has_nothing_to_say_about_them(units: list[str]) -> None:
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_it_would_notice_a_slip(tmp_path: Path) -> None:
    unit = tmp_path / "quayline-api.service"
    unit.write_text(UNITS[0].read_text().replace("Restart=always", "Restart=allways"))
    assert "allways" in analyze("verify", "--man=no", str(unit)).stderr


def test_they_leave_little_open(units: list[str]) -> None:
    for unit in units:
        done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)
        assert done.returncode == 0, done.stdout[-300:]


def test_nothing_takes_away_what_other_units_of_the_same_user_hold() -> None:
    for unit in UNITS:
        assert "RemoveIPC" not in unit.read_text()
