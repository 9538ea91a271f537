"""What provisions Grafana agrees with the compose file, which mounts it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
PROVISIONING = DEPLOY / "grafana" / "provisioning"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the compose file."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


@pytest.fixture(scope="module")
def mounts(services: dict[str, Any]) -> dict[str, Path]:
    """The folders of this tree by their places in Grafana's container."""
    told = (volume.split(":") for volume in services["grafana"]["volumes"])
    return {place: DEPLOY / folder for folder, place, *_ in told if folder.startswith("./")}


def read(name: str) -> dict[str, Any]:
    """Return the one entry of a file of the provisioning."""
    told = yaml.safe_load((PROVISIONING / name / "quayline.yml").read_text())
    [entry] = told["datasources" if name == "datasources" else "providers"]
    return dict(entry)


def test_its_source_is_the_prometheus_of_the_file(services: dict[str, Any]) -> None:
    source = read("datasources")
    [port] = services["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.rpartition(':')[2]}"
    assert source["type"] == "prometheus"
    assert "prometheus" in services["grafana"]["depends_on"]


def test_its_source_reads_as_often_as_prometheus(services: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    interval = read("datasources")["jsonData"]["timeInterval"]
    assert interval == config["global"]["scrape_interval"]


def test_its_dashboards_lie_where_it_looks_for_them(mounts: dict[str, Path]) -> None:
    assert mounts["/etc/grafana/provisioning"].samefile(PROVISIONING)
    folder = mounts[read("dashboards")["options"]["path"]]
    assert [file.name for file in folder.glob("*.json")] == ["quayline.json"]
