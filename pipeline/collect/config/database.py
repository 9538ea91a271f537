"""What a database collector may be told."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.collect.config.fields import FromEnv, Secret, Some, Strict

SCHEMES = ("postgresql://", "postgres://", "mysql://", "mariadb://", "sqlite:///")


def _known(value: str | FromEnv) -> str | FromEnv:
    if isinstance(value, str) and not value.startswith(SCHEMES):
        raise ValueError("it has to begin with postgresql://, mysql://, mariadb:// or sqlite:///")
    return value


DatabaseUrl = Annotated[Secret, AfterValidator(_known)]
#: `table`, `schema.table`, or its parts as a list where a name has a dot in it.
Table = (
    Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[^\x00]+$")]
    | Annotated[list[Some], Field(min_length=1, max_length=2)]
)


class Source(Strict):
    """Where rows come from."""

    url: DatabaseUrl
    password: Secret | None = None
    table: Table | None = None
    query: Annotated[str, Field(min_length=1, max_length=100_000, pattern=r"^[^\x00]+$")] | None = (
        None
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either a table or a query")
        return self


class Target(Strict):
    """Where rows go to."""

    url: DatabaseUrl
    password: Secret | None = None
    table: Table
    create_table: bool = Field(False, description="Make it where it does not exist.")


class Checks(Strict):
    """What is compared after the last row."""

    count: Literal["equal", "report"] | None = Field(
        None, description="Rows of both; default: `equal` for full, `report` for incremental."
    )
    key_checksum: bool = Field(False, description="A sum over the keys of both has to be equal.")


class DatabaseConfig(Strict):
    """A source, a target, and which rows and columns go over."""

    source: Source
    target: Target
    sync_name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]+$")] | None = Field(
        None, description="What its progress is kept under; default: made of source and target."
    )
    mode: Literal["full", "incremental"] = "full"
    key_columns: list[Some] = Field(
        default_factory=list, max_length=16, description="Default: the table's primary key."
    )
    watermark_column: Some | None = Field(None, description="Grows with each change of a row.")
    overlap: float = Field(
        0.0, ge=0, description="Go back so far before the last watermark: seconds, or units."
    )
    columns: (
        Annotated[list[Some], Field(min_length=1, max_length=1600)]
        | Annotated[dict[Some, Some], Field(min_length=1, max_length=1600)]
        | None
    ) = Field(None, description="Names, or names with their names in the target; default: all.")
    batch_size: int = Field(1000, ge=1, le=50_000)
    timeout_s: float = Field(300.0, gt=0, le=86_400, description="For one answer of a database.")
    checks: Checks = Field(default_factory=Checks)

    @model_validator(mode="after")
    def _watermark(self) -> Self:
        if (self.mode == "incremental") != (self.watermark_column is not None):
            raise ValueError("watermark_column belongs to the mode 'incremental', and only there")
        return self
