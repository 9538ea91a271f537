"""The README tells the truth where that can be checked."""

from pathlib import Path

from pipeline.settings import Settings

README = (Path(__file__).parents[2] / "README.rst").read_text(encoding="utf-8")


def test_every_setting_is_documented_once_with_its_description() -> None:
    for name, field in Settings.model_fields.items():
        assert README.count(f"   * - ``QUAYLINE_{name.upper()}``\n") == 1, name
        assert field.description
        assert field.description in README, name
