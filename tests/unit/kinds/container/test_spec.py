"""What a container job may say, and what is refused before anything is stored."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import Refused
from pipeline.kinds.container.spec import ContainerParameters, admit, image
from pipeline.settings import MIB, Settings
from tests.unit.kinds.container import kit

#: The example of the guide for submitters.
SHOP = json.loads(
    (Path(__file__).parents[3] / "samples/guide/config.json").read_text(encoding="utf-8")
)
CUSTOM = {"task_name": "a", "task_type": "custom", "docker_image": "data-collection-x"}


def read(document):
    """Return the document as a task."""
    return ContainerParameters.model_validate(document).root


def test_example_of_the_guide_is_its_own_config():
    task = read(SHOP)
    assert json.loads(task.config_text()) == SHOP
    assert (task.heartbeat_timeout_s, task.command) == (120, None)


def test_config_says_only_what_the_program_reads():
    task = read({**SHOP, "timeout_s": 5, "env": {"SECRET": "x"}, "memory_bytes": 64 * MIB})
    assert json.loads(task.config_text()) == SHOP


def test_config_of_any_image_is_what_was_given():
    task = read({**CUSTOM, "config": {"深": [1, None]}, "command": ["run", "it"]})
    assert json.loads(task.config_text()) == {"深": [1, None]}
    assert task.command == ["run", "it"]
    assert read(CUSTOM).config_text() is None


DANGEROUS = [
    *({"privileged": True}, {"network_mode": "host"}, {"pid_mode": "host"}, {"ipc_mode": "host"}),
    *({"uts_mode": "host"}, {"userns_mode": "host"}, {"cgroupns": "host"}, {"cap_add": ["ALL"]}),
    *({"devices": ["/dev/sda"]}, {"device_requests": []}, {"security_opt": []}, {"binds": []}),
    *({"volumes": {"/var/run/docker.sock": {}}}, {"mounts": []}, {"volumes_from": ["x"]}),
    *({"restart_policy": {"Name": "always"}}, {"auto_remove": True}, {"user": "root"}),
    *({"extra_hosts": {}}, {"dns": []}, {"sysctls": {}}, {"ulimits": []}, {"oom_kill_disable": 1}),
    *({"runtime": "x"}, {"read_only": False}, {"tmpfs": {}}, {"entrypoint": "sh"}, {"ports": {}}),
    *({"network": "host"}, {"network": "container:x"}, {"host_config": {}}, {"init": False}),
]


@pytest.mark.parametrize("more", DANGEROUS, ids=str)
@pytest.mark.parametrize("document", [SHOP, CUSTOM], ids=["crawler", "custom"])
def test_dangerous_key_is_refused(document, more):
    with pytest.raises(ValidationError):
        read({**document, **more})


@pytest.mark.parametrize(
    "more",
    [
        *({"task_type": "shell"}, {"task_type": None}, {"task_name": ""}, {"task_name": "a\0"}),
        *({"docker_image": "-v/:/x"}, {"docker_image": "a b"}, {"docker_image": "UPPER"}),
        *({"docker_image": ""}, {"env": {"A B": "x"}}, {"env": {"A": "x\0"}}, {"env": {"": "x"}}),
        *({"env": {"TASK_EXECUTION_ID": "x"}}, {"env": {"API_BASE_URL": "x"}}),
        *({"timeout_s": 0}, {"timeout_s": -1}, {"timeout_s": float("nan")}, {"timeout_s": 1e99}),
        *({"memory_bytes": 1}, {"cpus": 0}, {"cpus": float("inf")}, {"pids": 0}),
        *({"max_attempts": 0}, {"stop_grace_s": -1}, {"retry_exit_codes": [0]}),
        *({"command": [1]}, {"command": "sh -c x"}, {"config": []}, {"host_labels": {"a": "\n"}}),
        *({"crawler_config": {}},),
    ],
    ids=str,
)
def test_value_that_cannot_be_used_is_refused(more):
    with pytest.raises(ValidationError):
        read({**CUSTOM, **more})


@pytest.mark.parametrize("kind", ["crawler", "api", "database"])
def test_section_of_another_type_is_refused(kind):
    with pytest.raises(ValidationError):
        read({"task_name": "a", "task_type": kind, "custom_config": {}})


def admitted(**told):
    """Raise where the settings do not allow the task."""
    settings = Settings(container_images="data-collection-*, team/*:1", container_cpus=2)
    admit(ContainerParameters.model_validate({**CUSTOM, **told}), settings)


@pytest.mark.parametrize("name", ["data-collection-x", "data-collection-y:2", "team/a:1"])
def test_image_on_the_list(name):
    admitted(docker_image=name)


@pytest.mark.parametrize("name", ["busybox", "team/a:2", "team/a", "evil/data-collection-x"])
def test_image_off_the_list_is_refused(name):
    with pytest.raises(Refused, match="allow-list"):
        admitted(docker_image=name)


@pytest.mark.parametrize("more", [{"memory_bytes": 5 * 1024**3}, {"cpus": 3}])
def test_more_than_a_container_may_have_is_refused(more):
    with pytest.raises(Refused):
        admitted(**more)


def test_collectors_have_an_image():
    document = {key: value for key, value in SHOP.items() if key != "docker_image"}
    settings = Settings()
    assert image(read(document), settings) == settings.collect_image
    admit(ContainerParameters.model_validate(document), settings)


def test_kit_makes_a_task():
    assert kit.task().task_name == "a"
