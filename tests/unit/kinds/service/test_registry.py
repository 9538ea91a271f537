"""How services are found."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.errors import Permanent
from pipeline.kinds.service import registry, service


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules; what it registers is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_offers", dict(registry._offers))
    monkeypatch.setattr(registry, "_loaded", set(registry._loaded))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("services_of_")]:
        del sys.modules[name]


def test_module_is_imported_once_and_its_services_are_known(folder: Path) -> None:
    (folder / "services_of_mine.py").write_text(
        "from pipeline.kinds.service import service\n"
        "@service('mine', 'one', heavy=True)\n"
        "class One:\n"
        "    '''About it.'''\n"
        "    def call(self, input_data, context): ...\n"
        "    async def later(self, input_data, context): ...\n"
        "    def _hidden(self, input_data, context): ...\n"
        "    constant = 1\n"
    )
    registry.load(["services_of_mine"])
    registry.load(["services_of_mine"])
    offer = registry.find("mine", "one")
    assert (offer.tasks, offer.takes_any, offer.heavy) == (["call", "later"], False, True)
    assert offer.description == "About it."


def test_module_that_cannot_be_imported_costs_itself(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "services_of_fault.py").write_text("raise RuntimeError('no')\n")
    (folder / "services_of_other.py").write_text(
        "from pipeline.kinds.service import service\n"
        "@service('mine', 'other')\n"
        "class Other:\n"
        "    def call(self, input_data, context): ...\n"
    )
    with caplog.at_level(logging.ERROR):
        registry.load(["services_of_nowhere", "services_of_fault", "services_of_other"])
    assert registry.find("mine", "other").tasks == ["call"]
    told = [vars(record)["service_module"] for record in caplog.records]
    assert told == ["services_of_nowhere", "services_of_fault"]


def test_installed_package_brings_its_services(folder: Path) -> None:
    (folder / "services_of_package.py").write_text(
        "from pipeline.kinds.service import service\n"
        "@service('mine', 'installed')\n"
        "class Installed:\n"
        "    def call(self, input_data, context): ...\n"
    )
    about = folder / "services_of_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: services-of-package\nVersion: 1\n"
    )
    (about / "entry_points.txt").write_text("[quayline.services]\nmine = services_of_package\n")
    registry._loaded.discard(registry.GROUP)
    registry.load([])
    assert registry.find("mine", "installed").tasks == ["call"]


def test_service_that_is_not_known_is_told_with_those_that_are(folder: Path) -> None:
    @service("mine", "analyzer")
    class Analyzer:
        def call(self, input_data, context): ...

    with pytest.raises(Permanent, match="no service mine/analyser on this worker; known are mine/"):
        registry.find("mine", "analyser")


class Text(BaseModel):
    text: str
    language: str = ""


class Count(BaseModel):
    number: int


def test_methods_annotations_are_the_models_where_the_service_names_none(folder: Path) -> None:
    @service("mine", "several")
    class Several:
        def of_text(self, input_data: Text, context: object) -> Count:
            raise NotImplementedError

        async def later(self, input_data: Count, context: object) -> Text:
            raise NotImplementedError

        def of_any(self, input_data, context): ...

    offer = registry.find("mine", "several")
    assert (offer.input_of("of_text"), offer.output_of("of_text")) == (Text, Count)
    assert (offer.input_of("later"), offer.output_of("later")) == (Count, Text)
    assert (offer.input_of("of_any"), offer.input_of("none")) == (None, None)


def test_own_service_goes_before_a_built_in_one_of_its_name(folder: Path) -> None:
    @service("chat", "chat")
    class Mine:
        def call(self, input_data, context): ...

    @service("chat", "chat")
    class BuiltIn:
        __module__ = f"{registry.BUILT_IN}.chat"

    assert registry.find("chat", "chat").factory is Mine
