"""The whole ``config.json`` of one task."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.collect.config.api import ApiConfig
from pipeline.collect.config.crawler import CrawlerConfig
from pipeline.collect.config.database import DatabaseConfig
from pipeline.collect.config.fields import MIB, HttpUrl, Some, Strict
from pipeline.collect.config.storage import StorageConfig
from pipeline.collect.errors import ConfigRefused

_MOST_BYTES = 16 * MIB


class TaskDocument(Strict):
    """One task: its name, its type, the section of that type, and where the output goes."""

    task_name: Some
    task_type: Literal["crawler", "api", "database"]
    base_url: HttpUrl | None = None
    docker_image: str | None = Field(None, description="For who starts the container.")
    crawler_config: CrawlerConfig | None = None
    api_config: ApiConfig | None = None
    database_config: DatabaseConfig | None = None
    storage_config: StorageConfig = Field(default_factory=StorageConfig)

    @model_validator(mode="after")
    def _one_section(self) -> Self:
        sections = {
            "crawler": self.crawler_config,
            "api": self.api_config,
            "database": self.database_config,
        }
        if sections.pop(self.task_type) is None:
            raise ValueError(f"a task of type {self.task_type} needs {self.task_type}_config")
        for name, section in sections.items():
            if section is not None:
                raise ValueError(f"{name}_config does not belong to a {self.task_type} task")
        return self


def read_document(path: Path) -> TaskDocument:
    """Return the document in a file; raises ``ConfigRefused`` with all that is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigRefused(f"The config {path} cannot be read: {error.strerror}.") from error
    if len(content) > _MOST_BYTES:
        raise ConfigRefused(f"The config {path} has more than {_MOST_BYTES} bytes.")
    try:
        return TaskDocument.model_validate(json.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        raise ConfigRefused(f"The config is refused: {_faults(error)}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigRefused(f"The config {path} is not JSON in UTF-8: {error}.") from None


def _faults(error: ValidationError) -> str:
    # Never the input itself: it may be a password.
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc'])) or 'document'}: {each['msg']}" for each in faults]
    return "; ".join(told[:20]) + (" and more" if len(told) > 20 else "")
