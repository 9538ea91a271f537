"""The manifests: composed by Kubernetes' own program, valid by its schemas, and of one piece."""

import re
import subprocess
import sysconfig
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from pipeline.cli.roles import ROLES, RoleName
from pipeline.settings import Settings

ROOT = Path(__file__).parents[3]
KUSTOMIZE_S = 60
#: The oldest that is looked after anywhere today, and one that is new.
VERSIONS = ("1.30", "1.34")
#: What `quayline worker` gives its batches at SIGTERM.
WORKER_GRACE_S = 100

#: Whatever the schemas of Kubernetes do not know.
OTHERS = ("ScaledObject",)

Manifest = dict[str, Any]


@cache
def manifests() -> list[Manifest]:
    """Return what ``kubectl apply -k`` of the example would send."""
    program = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run(
        [str(program), "kustomize", str(ROOT / "deploy/kubernetes/overlays/example")],
        capture_output=True,
        text=True,
        timeout=KUSTOMIZE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def of_kind(kind: str) -> dict[str, Manifest]:
    """Return the manifests of a kind by their names."""
    return {each["metadata"]["name"]: each for each in manifests() if each["kind"] == kind}


def pods() -> dict[str, Manifest]:
    """Return the specification of each deployment's pods."""
    return {
        name: dict(each["spec"]["template"]["spec"]) for name, each in of_kind("Deployment").items()
    }


def test_there_is_one_of_everything_that_was_written() -> None:
    count = defaultdict[str, int](int)
    for each in manifests():
        count[each["kind"]] += 1
    assert (count["Deployment"], count["PodDisruptionBudget"], count["ScaledObject"]) == (5, 5, 3)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_and_has_no_unknown_key(version: str) -> None:
    for each in manifests():
        if each["kind"] not in OTHERS:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_would_notice_a_slip() -> None:
    bad = {**manifests()[0], "kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, VERSIONS[-1], strict=True)


class Closed(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Target(Closed):
    """Whom KEDA scales."""

    name: str


class PrometheusMetadata(Closed):
    """What KEDA's Prometheus scaler is told; it takes text alone."""

    server_address: str = Field(alias="serverAddress", pattern=r"^http://")
    query: str
    threshold: str = Field(pattern=r"^[1-9][0-9]*$")


class Trigger(Closed):
    """When KEDA scales."""

    type: Literal["prometheus"]
    metric_type: Literal["AverageValue", "Value"] = Field(alias="metricType")
    metadata: PrometheusMetadata


class Fallback(Closed):
    """What KEDA does without figures."""

    failure_threshold: int = Field(alias="failureThreshold", ge=1)
    replicas: int = Field(ge=1)


class ScaledObject(Closed):
    """The part of KEDA's ScaledObject that we use."""

    scale_target: Target = Field(alias="scaleTargetRef")
    least: int = Field(alias="minReplicaCount", ge=1)
    most: int = Field(alias="maxReplicaCount", ge=1)
    polling_s: int = Field(alias="pollingInterval", ge=1)
    fallback: Fallback
    advanced: dict[Literal["horizontalPodAutoscalerConfig"], dict[Literal["behavior"], Any]]
    triggers: list[Trigger] = Field(min_length=1, max_length=1)


def test_workers_are_scaled_by_the_age_of_their_own_queues_and_by_nothing_else() -> None:
    scaled: dict[str, set[str]] = {}
    for name, each in of_kind("ScaledObject").items():
        assert each["apiVersion"] == "keda.sh/v1alpha1"
        told = ScaledObject.model_validate(each["spec"])
        assert told.least <= told.fallback.replicas <= told.most
        assert told.scale_target.name == name
        found = re.fullmatch(
            r'max\(quayline_oldest_due_seconds\{queue=~"([a-z_|]+)"\}\)',
            told.triggers[0].metadata.query,
        )
        assert found, name
        scaled[name] = set(found[1].split("|"))
        assert "replicas" not in of_kind("Deployment")[name]["spec"], name
        # The behavior is the autoscaler's own, which the schemas know.
        autoscaler: Manifest = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": name},
                "maxReplicas": told.most,
                **told.advanced["horizontalPodAutoscalerConfig"],
            },
        }
        kubernetes_validate.validate(autoscaler, VERSIONS[-1], strict=True)
    for role in set(RoleName) - {RoleName.ALL}:
        assert scaled[f"quayline-worker-{role}"] <= set(ROLES[role].queues)


def test_every_role_has_its_worker_with_time_to_end_its_batches() -> None:
    for role in set(RoleName) - {RoleName.ALL}:
        pod = pods()[f"quayline-worker-{role}"]
        command = pod["containers"][0]["command"]
        assert command[:4] == ["quayline", "worker", "--role", role]
        assert pod["terminationGracePeriodSeconds"] > WORKER_GRACE_S
        if ROLES[role].per_core:
            # Else it starts one for each core of the node.
            limit = pod["containers"][0]["resources"]["limits"]["cpu"]
            assert command[4:] == ["--processes", limit]


def test_every_pod_is_restricted_bounded_and_probed() -> None:
    for name, pod in pods().items():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        rights = container["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert {"startupProbe", "readinessProbe"} <= set(container)


def test_whatever_a_pod_names_is_there() -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests()}
    for pod in pods().values():
        [container] = pod["containers"]
        for source in container["envFrom"]:
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                assert key not in source or (kind, source[key]["name"]) in names
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} == set(volumes)
        for each in volumes.values():
            claim = each.get("persistentVolumeClaim")
            assert claim is None or ("PersistentVolumeClaim", claim["claimName"]) in names
        recipe = (ROOT / "deploy/Dockerfile").read_text()
        target = container["image"].rpartition("/quayline-")[2].partition(":")[0]
        assert f" AS {target}\n" in recipe


def test_each_budget_and_service_finds_its_pods() -> None:
    labels = {
        name: each["spec"]["template"]["metadata"]["labels"].items()
        for name, each in of_kind("Deployment").items()
    }
    selectors = [
        (name, each["spec"]["selector"]["matchLabels"])
        for name, each in of_kind("PodDisruptionBudget").items()
    ]
    selectors += [(name, each["spec"]["selector"]) for name, each in of_kind("Service").items()]
    for name, wanted in selectors:
        assert [found for found, has in labels.items() if wanted.items() <= has] == [name]


def test_every_variable_is_a_setting_and_no_secret_is_in_the_open() -> None:
    known = {f"QUAYLINE_{name.upper()}" for name in Settings.model_fields}
    [settings] = of_kind("ConfigMap").values()
    [addresses] = of_kind("Secret").values()
    assert set(settings["data"]) | set(addresses["data"]) <= known
    assert not {"QUAYLINE_DATABASE_URL", "QUAYLINE_BROKER_URL"} & set(settings["data"])
