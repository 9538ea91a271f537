"""All settings, read once from ``QUAYLINE_*`` variables into one frozen object.

The descriptions below are the reference: ``quayline doctor --settings`` prints them and
README.rst "Settings" repeats them.
"""

import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline import addresses, clock, retention
from pipeline.errors import Refused

MIB = 1024 * 1024
GIB = 1024 * MIB

#: A worker that is lost takes its batch with it.
MOST_BATCH_TASKS = 1000

#: Beyond these a value is a slip: a month; a pebibyte; more threads or connections than one process
#: has use for. Of the database's timeout a multiple in milliseconds is a number of 32 bits.
MOST_S = 30 * 86_400.0
MOST_DATABASE_S = 86_400.0
MOST_BYTES = 1024**5
MOST = 1000


class Settings(BaseSettings):
    """What a process needs to know; an unset variable means the embedded default."""

    model_config = SettingsConfigDict(
        env_prefix="QUAYLINE_",
        # Compose and env files write a variable that is not set as an empty one.
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        # A URL may hold a password.
        hide_input_in_errors=True,
    )

    state_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_state_dir("quayline")),
        description="Folder of the embedded database and of the local blob storage.",
    )
    database_url: str = Field(
        "", description="postgresql://… or sqlite:///FILE; empty: quayline.db in the state folder."
    )
    broker_url: str = Field(
        "memory://", description="amqp://… for RabbitMQ, memory:// for worker threads in-process."
    )
    storage_url: str = Field(
        "", description="Folder or fsspec URL (s3://…) of the blobs; empty: blobs/ in state_dir."
    )
    database_pool: int = Field(
        20, ge=1, le=MOST, description="Most database connections of one process."
    )
    database_timeout_s: float = Field(
        10.0,
        gt=0,
        le=MOST_DATABASE_S,
        description="Longest wait for a connection, and for a lock on SQLite.",
    )
    broker_timeout_s: float = Field(
        1.25,  # With the database's part a submission answers within 2 s, on a busy machine, too.
        gt=0,
        le=MOST_S,
        description="Longest wait for the broker in one send; the sweep sends later.",
    )
    queue_type: Literal["quorum", "classic"] = Field(
        "quorum", description="Type of the RabbitMQ queues; changing it needs new queues."
    )
    worker_name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}",
        description="Name written into the rows that this process leases.",
    )
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=MOST,
        description="Embedded: batches worked on at the same time (default: one per core).",
    )
    max_messages_per_child: int = Field(
        0, ge=0, description="A worker process is replaced after so many messages; 0: never."
    )
    max_memory_per_child_bytes: int = Field(
        0,
        ge=0,
        le=MOST_BYTES,
        description="A worker process larger than that is replaced after its messages; 0: never.",
    )
    lease_s: float = Field(
        60.0, ge=1, le=MOST_S, description="A lease not renewed for so long is lost."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="Runs of one task before it fails.")
    backoff_s: float = Field(
        5.0, ge=0, le=MOST_S, description="First pause before a retry; it doubles."
    )
    backoff_max_s: float = Field(
        600.0, ge=0, le=MOST_S, description="Longest pause before a retry."
    )
    sweep_s: float = Field(2.0, gt=0, le=MOST_S, description="Pause between two sweeps.")
    hint_again_s: float = Field(
        30.0, gt=0, le=MOST_S, description="A hint that nobody took up for so long is sent again."
    )
    window: int = Field(
        0,
        ge=0,
        le=MOST,
        description="Batches of one kind in flight; 0: twice as many as are in work,"
        " embedded one more than threads.",
    )
    batch_bytes: int = Field(
        12 * 1024, ge=1, le=MOST_BYTES, description="Bytes of input in one batch."
    )
    batch_tasks: int = Field(512, ge=1, le=MOST_BATCH_TASKS, description="Most tasks in one batch.")

    max_source_bytes: int = Field(
        4 * GIB, ge=1, le=MOST_BYTES, description="Largest source of one job."
    )
    max_entries: int = Field(200_000, ge=1, description="Most entries of an archive.")
    max_entry_bytes: int = Field(
        32 * MIB, ge=1, le=MOST_BYTES, description="Largest entry of an archive."
    )
    max_total_bytes: int = Field(
        8 * GIB, ge=1, le=MOST_BYTES, description="Most bytes an archive may unpack to."
    )
    max_ratio: int = Field(
        200, ge=1, description="Highest compression ratio of an entry over 1 MiB."
    )
    lint_time_limit_s: float = Field(60.0, gt=0, le=MOST_S, description="Time budget of one file.")
    lint_memory_limit_bytes: int = Field(
        GIB, ge=64 * MIB, le=MOST_BYTES, description="Memory budget of one file."
    )
    lint_suffixes: str = Field(
        "",
        description="Comma-separated suffixes that count as SQL; empty: as SQLFluff is configured.",
    )

    service_modules: str = Field(
        "",
        description="Modules of services, besides those of installed packages: comma-separated.",
    )
    service_threads: int = Field(
        16, ge=1, le=MOST, description="Light calls of one batch at the same time."
    )
    service_input_bytes: int = Field(
        MIB, ge=1, le=MOST_BYTES, description="Largest input, or context, of one call."
    )
    service_output_bytes: int = Field(
        4 * MIB, ge=1024, le=GIB, description="Largest result of one call."
    )
    service_memory_bytes: int = Field(
        2 * GIB, ge=64 * MIB, le=MOST_BYTES, description="Memory of one heavy call."
    )
    service_grace_s: float = Field(
        5.0, ge=0, le=600, description="A call that is asked to stop has so long to do it."
    )

    models: SecretStr = Field(
        SecretStr(""),
        description="Profiles of model endpoints for built-in services: a JSON object by name, or"
        " @FILE.",
    )

    docker_url: str = Field(
        "",
        description="Docker host `local`: unix://…, tcp://…, ssh://…; empty: DOCKER_HOST or the"
        " usual socket.",
    )
    docker_slots: int = Field(
        8, ge=0, le=MOST, description="Containers at the same time on the host `local`."
    )
    docker_cert_dir: str = Field(
        "", description="Folder of ca.pem, cert.pem and key.pem, or of a folder of them per host."
    )
    sqlite_folders: str = Field(
        "",
        description="Folders of SQLite files that collectors without Docker may open:"
        " comma-separated.",
    )
    collect_image: str = Field("quayline-collect:latest", description="Image of the collectors.")
    container_images: str = Field(
        "data-collection-*",
        description="Allowed images besides it: comma-separated patterns with * and ? in them.",
    )
    container_memory_bytes: int = Field(
        4 * GIB, ge=8 * MIB, le=MOST_BYTES, description="Most memory of one container."
    )
    container_cpus: float = Field(4.0, gt=0, le=MOST, description="Most CPUs of one container.")
    container_log_bytes: int = Field(
        32 * MIB, ge=64 * 1024, le=MOST_BYTES, description="Log kept of one container."
    )
    container_output_bytes: int = Field(
        GIB, ge=1, le=MOST_BYTES, description="Largest output of one container."
    )
    container_tmp_bytes: int = Field(
        64 * MIB, ge=MIB, le=MOST_BYTES, description="Size of /tmp in a container."
    )
    container_user: str = Field(
        "65532:65532", pattern=r"^[1-9][0-9]*:[1-9][0-9]*$", description="User and group in it."
    )
    monitor_s: float = Field(
        2.0, gt=0, le=MOST_S, description="Pause between two looks at the containers."
    )
    timezone: str = Field(
        "UTC", description="Time zone of the timetable, and of schedules that name none."
    )
    timetable: str = Field(
        "",
        description='Changes to the timetable: {"sweep": {"every_s": 5}, "cleanup_old_data":'
        ' "off"}; `quayline timetable` shows it.',
    )
    schedule_grace_s: float = Field(
        60.0, ge=1, le=MOST_S, description="A schedule's time is missed when it is so late."
    )
    schedule_lease_s: float = Field(
        15.0, gt=0, le=3600, description="A scheduler silent for so long leads no more."
    )
    host_grace_s: float = Field(
        300.0, gt=0, le=MOST_S, description="A host away for so long has lost its containers."
    )
    api_url: str = Field(
        "", description="Where containers reach the API; empty: they send no heartbeats."
    )

    api_host: str = Field("127.0.0.1", description="Where `quayline api` listens.")
    api_port: int = Field(8000, ge=0, le=65_535, description="Its port; 0: any that is free.")
    api_max_body_bytes: int = Field(
        MIB, ge=1024, le=GIB, description="Largest body of a request that is no upload."
    )
    api_concurrency: int = Field(
        1000, ge=1, le=100_000, description="Requests in work at the same time; more get a 503."
    )
    api_uploads: int = Field(
        8, ge=1, le=MOST, description="Uploads at the same time; more get a 503."
    )
    api_streams: int = Field(
        1000, ge=0, le=100_000, description="Clients that follow jobs live; more get a 503."
    )
    api_local_user: str = Field(
        "",
        max_length=200,
        description="Socket.IO clients of this machine that show no token see what is for this user"
        " (`user_id`); empty: they are refused.",
    )
    api_patience_s: float = Field(
        30.0, gt=0, le=MOST_S, description="A client that sends nothing for so long is let go."
    )
    api_cors_origins: str = Field(
        "",
        description="Origins that browsers may call the API from: comma-separated, or * for all.",
    )

    api_trusted_proxies: str = Field(
        "",
        description="Networks whose X-Forwarded-For is believed, as 10.0.0.0/8: comma-separated.",
    )
    access_log: Literal["off", "requests", "all"] = Field(
        "requests",
        description="Requests that are noted as rows: none; all but heartbeats; all.",
    )
    access_log_s: float = Field(
        5.0, gt=0, le=3600, description="Pause between two batches of the access log."
    )

    retention_days: str = Field(
        "90",
        description="Days that ended jobs are kept: a number, or a JSON object by kind (and"
        " results, dead_letters, schedule_fires, access_log, daily_figures, services; * for"
        " others, of services 30 at most); 0 keeps for ever.",
    )
    backup_dir: Path | None = Field(
        None, description="Folder that the actor `backup_data` writes to; empty: it does nothing."
    )
    admin_token: SecretStr = Field(
        SecretStr(""),
        description="First token of an administrator, which `initialize_users` makes known.",
    )

    metrics_host: str = Field("127.0.0.1", description="Where figures are served for Prometheus.")
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of the scheduler's figures; 0: it serves none."
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of a worker's figures; 0: it counts and serves none."
    )
    tracing_url: str = Field(
        "",
        description="Where traces go, http://HOST:4318 (OTLP over HTTP); empty: nothing is traced.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    log_format: Literal["json", "text"] = Field("json", description="Form of the log lines.")

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return addresses.folder(value)

    @field_validator("broker_url", "database_url", "storage_url")
    @classmethod
    def _address(cls, value: str, told: ValidationInfo) -> str:
        check = {
            "broker_url": addresses.broker,
            "database_url": addresses.database,
            "storage_url": addresses.storage,
        }
        return check[str(told.field_name)](value)

    @field_validator("worker_name", "lint_suffixes")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("It holds characters that cannot be shown.")
        return value

    @field_validator("retention_days")
    @classmethod
    def _days(cls, value: str) -> str:
        retention.read(value)
        return value

    @field_validator("api_trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        addresses.networks(value)
        return value

    @field_validator("backup_dir")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        return None if value is None else addresses.folder(value)

    def retention_s(
        self, name: str, *, only_named: bool = False, most_days: float = retention.MOST_DAYS
    ) -> float | None:
        """Return for how long what has that name (a kind, results, dead_letters) is kept once it
        has ended; None: for ever. With ``only_named`` the setting must name it; what it does not
        name is kept for ``most_days`` at most."""
        told = retention.read(self.retention_days)
        return told.seconds(name, only_named=only_named, most_days=most_days)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        clock.zone(value)
        return value

    @property
    def allowed_images(self) -> list[str]:
        """The patterns of the images that a container job may name."""
        return [each.strip() for each in self.container_images.split(",") if each.strip()]

    @property
    def sqlite_folder_list(self) -> list[str]:
        """The folders that collectors without Docker may open SQLite files in."""
        return [each.strip() for each in self.sqlite_folders.split(",") if each.strip()]

    @property
    def service_module_list(self) -> list[str]:
        """The modules of services that a worker imports besides those of installed packages."""
        return [each.strip() for each in self.service_modules.split(",") if each.strip()]

    @property
    def cors_origins(self) -> list[str]:
        """The origins that browsers may call the API from."""
        return [each.strip() for each in self.api_cors_origins.split(",") if each.strip()]

    @property
    def trusted_proxies(self) -> list[addresses.Network]:
        """The networks whose word is taken for who asks."""
        return addresses.networks(self.api_trusted_proxies)

    @property
    def database(self) -> str:
        """The database's URL, the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.state_dir / 'quayline.db'}"

    @property
    def storage(self) -> str:
        """The blob storage's URL, the embedded default filled in."""
        return self.storage_url or str(self.state_dir / "blobs")

    @property
    def folders(self) -> list[Path]:
        """The folders of this machine that rows and blobs lie in."""
        found = []
        if self.database.startswith("sqlite:///"):
            found.append(Path(self.database.removeprefix("sqlite:///")).expanduser().parent)
        if "://" not in self.storage:
            found.append(Path(self.storage).expanduser())
        return found

    @property
    def batches_in_flight(self) -> int | None:
        """How many batches of one kind may be sent and not closed; None: it follows the workers."""
        return self.window or (self.threads + 1 if self.embedded else None)

    @property
    def embedded(self) -> bool:
        """True when messages stay in this process, so that it must also do the work."""
        return self.broker_url.startswith("memory:")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read at the first call.

    Raises ``Refused`` for the first variable that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        why = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise Refused(f"The setting QUAYLINE_{name} cannot be used: {why}.") from error
