"""The parameters of a container job: one model per type of task, unknown keys refused.

The document is the one that people write for their task (``task_name``, ``task_type``, …); what the
program in the container reads of it is its ``config.json``.
"""

import fnmatch
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from pipeline import jsontext
from pipeline.collect.config import ApiConfig, CrawlerConfig, DatabaseConfig, StorageConfig
from pipeline.core import documents
from pipeline.errors import Refused
from pipeline.settings import GIB, MIB, MOST_S, Settings
from pipeline.store.models import JobRow

Text = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00\n]+$")]
Image = Annotated[
    str, Field(max_length=255, pattern=r"^[a-z0-9][a-z0-9._\-/:]*(@sha256:[0-9a-f]{64})?$")
]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Label = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9._\-]*$")]
ExitCode = Annotated[int, Field(ge=1, le=255)]

#: What a container is told by us; a submitter may not say it.
OWN_ENV = frozenset(
    {
        *("TASK_EXECUTION_ID", "CONFIG_PATH", "API_BASE_URL", "HOSTNAME", "OUTPUT_DIR"),
        "SQLITE_FOLDERS",
    }
)
#: What the program in the container reads of the document.
CONFIG_KEYS = (
    *("task_name", "task_type", "base_url", "docker_image"),
    *("crawler_config", "api_config", "database_config", "storage_config"),
)


class Common(BaseModel):
    """What every type of task may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_name: Name = Field(description="What people call it.")
    base_url: Text | None = Field(None, description="Where the source is, for people.")
    docker_image: Image | None = Field(None, description="The image; default: the collectors'.")
    env: dict[EnvName, Text] = Field(
        default_factory=dict, max_length=100, description="More environment variables."
    )
    timeout_s: float = Field(3600, gt=0, le=MOST_S, description="From its start to its end.")
    schedule_to_start_s: float = Field(
        86_400, gt=0, le=MOST_S, description="Longest wait for a place on a host."
    )
    heartbeat_timeout_s: float = Field(
        0, ge=0, le=MOST_S, description="Silent for so long it is lost; 0: it need not speak."
    )
    stop_grace_s: float = Field(10, ge=0, le=600, description="From TERM to KILL.")
    max_attempts: int = Field(3, ge=1, le=20, description="Runs, when it is lost or crashes.")
    retry_exit_codes: list[ExitCode] = Field(
        default_factory=list, max_length=255, description="Exit codes that another run may mend."
    )
    memory_bytes: int = Field(512 * MIB, ge=8 * MIB, le=1024 * GIB, description="Memory and swap.")
    cpus: float = Field(1.0, ge=0.01, le=1024, description="CPUs, fractions too.")
    pids: int = Field(256, ge=1, le=32_768, description="Processes and threads.")
    network: Literal["default", "none"] = Field("default", description="`none`: no network.")
    host_labels: dict[Label, Label] = Field(
        default_factory=dict, max_length=20, description="Labels that its host must have."
    )

    @field_validator("env")
    @classmethod
    def _not_ours(cls, value: dict[str, str]) -> dict[str, str]:
        for name in sorted(OWN_ENV & set(value)):
            raise ValueError(f"{name} is set by the service")
        return value

    @property
    def command(self) -> list[str] | None:
        """The command in place of the image's own."""
        return None

    @property
    def resumes(self) -> bool:
        """True when another run goes on with the output of the one before."""
        return False

    def document(self) -> dict[str, Any] | None:
        """Return the ``config.json`` of its container; None when it has none."""
        told = self.model_dump(mode="json", exclude_unset=True)
        return {key: told[key] for key in CONFIG_KEYS if key in told}

    def config_text(self) -> bytes | None:
        """Return the content of that file."""
        document = self.document()
        return None if document is None else jsontext.encoded(document)


class Collector(Common):
    """One of the three collectors, or an image that reads the same document."""

    storage_config: StorageConfig = Field(default_factory=StorageConfig)
    heartbeat_timeout_s: float = Field(
        120, ge=0, le=MOST_S, description="Silent for so long it is lost; 0: it need not speak."
    )

    @property
    def resumes(self) -> bool:
        """A collector keeps its place in its output folder."""
        return True


class CrawlerTask(Collector):
    """Pages of web sites."""

    task_type: Literal["crawler"]
    crawler_config: CrawlerConfig


class ApiTask(Collector):
    """Records of a third party's API."""

    task_type: Literal["api"]
    api_config: ApiConfig


class DatabaseTask(Collector):
    """Rows from one database to another."""

    task_type: Literal["database"]
    database_config: DatabaseConfig


class CustomTask(Common):
    """Any image of the allow-list; ``config`` becomes its ``/app/config.json``."""

    task_type: Literal["custom"]
    docker_image: Image = Field(description="The image.")
    command_line: list[Text] | None = Field(
        None, alias="command", max_length=1000, description="In place of the image's own."
    )
    config: dict[str, Any] | None = Field(None, description="Its /app/config.json.")

    @property
    def command(self) -> list[str] | None:
        """The command in place of the image's own."""
        return self.command_line

    def document(self) -> dict[str, Any] | None:
        """Return the ``config.json`` of its container; None when it has none."""
        return self.config


Task = Annotated[
    CrawlerTask | ApiTask | DatabaseTask | CustomTask, Field(discriminator="task_type")
]


class ContainerParameters(RootModel[Task]):
    """What a submitter may ask of a container job."""

    model_config = ConfigDict(frozen=True)


def task_of(job: JobRow) -> Common:
    """Return the job's task; raise ``Permanent`` when its row does not hold one."""
    return documents.read(ContainerParameters, job.parameters, "parameters").root


def image(task: Common, settings: Settings) -> str:
    """Return the image that the task runs."""
    return task.docker_image or settings.collect_image


def admit(parameters: ContainerParameters | Common, settings: Settings) -> None:
    """Raise ``Refused`` for an image off the allow-list, or more than a container may have."""
    task = parameters.root if isinstance(parameters, ContainerParameters) else parameters
    wanted = image(task, settings)
    allowed = [*settings.allowed_images, settings.collect_image]
    if not any(_matches(wanted, each) for each in allowed):
        raise Refused(f"The image {wanted!r} is not on the allow-list (QUAYLINE_CONTAINER_IMAGES).")
    if task.memory_bytes > settings.container_memory_bytes:
        raise Refused(
            f"memory_bytes is {task.memory_bytes}; a container may have"
            f" {settings.container_memory_bytes} (QUAYLINE_CONTAINER_MEMORY_BYTES)."
        )
    if task.cpus > settings.container_cpus:
        raise Refused(
            f"cpus is {task.cpus}; a container may have {settings.container_cpus}"
            " (QUAYLINE_CONTAINER_CPUS)."
        )


def _matches(name: str, pattern: str) -> bool:
    """Tell whether the pattern allows the image; one without a tag allows every tag and digest."""
    if _is_tagged(pattern):
        return fnmatch.fnmatchcase(name if _is_tagged(name) else f"{name}:latest", pattern)
    repository = name.partition("@")[0]
    if _is_tagged(repository):
        repository = repository.rpartition(":")[0]
    return fnmatch.fnmatchcase(repository, pattern)


def _is_tagged(name: str) -> bool:
    return any(mark in name.rpartition("/")[2] for mark in ":@")
