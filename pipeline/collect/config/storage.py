"""Where the output goes."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field, field_validator

from pipeline.collect.config.fields import Strict, Text


class StorageConfig(Strict):
    """The folder and the name of the output; ``OUTPUT_DIR`` in the environment wins."""

    output_path: Text = "/app/output"
    filename_prefix: Annotated[str, Field(max_length=100, pattern=r"^\w[\w .-]*$")] = "records"

    @field_validator("output_path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            raise ValueError("it has to be an absolute path without '..'")
        return value

    @field_validator("filename_prefix")
    @classmethod
    def _not_the_result(cls, value: str) -> str:
        if value.lower() == "result":
            raise ValueError("result.json is how the task ended; choose another name")
        return value
