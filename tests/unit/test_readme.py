"""The README tells the truth where that can be checked."""

from pathlib import Path

from pipeline.kinds.service import registry
from pipeline.settings import Settings

README = (Path(__file__).parents[2] / "README.rst").read_text(encoding="utf-8")


def test_every_setting_is_documented_once_with_its_default_and_description() -> None:
    for name, field in Settings.model_fields.items():
        first = f"   * - ``QUAYLINE_{name.upper()}``\n"
        assert README.count(first) == 1, name
        default, description = README.partition(first)[2].splitlines()[:2]
        assert description == f"     - {field.description}"
        # One that follows the machine is told in words.
        if field.default_factory is None and field.default is not None:
            told = f" ``{field.default}``" if str(field.default) else ""
            assert default == f"     -{told}", name


def test_every_built_in_service_and_task_is_documented() -> None:
    registry.load([])
    table = README.partition("\nBuilt-in services\n")[2].partition("``GET /api/v1/services``")[0]
    built_in = [
        each for each in registry.offers() if each.factory.__module__.startswith(registry.BUILT_IN)
    ]
    assert len(built_in) == 8
    for offer in built_in:
        assert f"``{offer.label}``" in table
        for task in offer.tasks:
            assert f"``{task}``" in table
