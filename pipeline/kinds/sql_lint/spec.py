"""The parameters of a lint job, validated before anything is stored."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from pipeline.settings import MOST_BYTES

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
RuleList = Annotated[str, Field(max_length=2000, pattern=r"^[A-Za-z0-9_.,*?\- ]*$")]
ConfigName = Annotated[str, Field(max_length=255)]
ConfigText = Annotated[str, Field(max_length=256 * 1024)]
#: As large as a config file of an archive may be.
LayerText = Annotated[str, Field(max_length=1024 * 1024)]
FailOn = Literal["none", "any", "warning", "error", "new"]
ReportName = Literal[
    "json", "sarif", "junit", "gitlab", "github", "csv", "text", "html", "fixed", "diff"
]

#: Keys of SQLFluff's command line that a submitter may also give; others go in a config file.
OVERRIDES = ("ignore", "warnings", "disable_noqa", "disable_noqa_except", "warn_unused_ignores")


#: The SHA-256 of a blob, or the key of a result, in hex.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StoredSource(BaseModel):
    """What a job's row tells of its archive; what else stands there is for people."""

    model_config = ConfigDict(strict=True, frozen=True)

    digest: Digest


class Place(BaseModel):
    """Where the content of a task's file lies: in a pack, from a byte on; under its configuration.

    ``blobs``: the pack and the configuration; ``key``: that of the result.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    blobs: Annotated[list[Digest], Field(min_length=2, max_length=2)]
    at: int = Field(ge=0, le=MOST_BYTES)
    length: int = Field(ge=0, le=MOST_BYTES)
    key: Digest


class LintParameters(BaseModel):
    """What a submitter may ask of a lint job; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dialect: Name | None = Field(None, description="SQLFluff dialect; else the configuration says.")
    rules: RuleList | None = Field(None, description="Only these rules, comma-separated.")
    exclude_rules: RuleList | None = Field(None, description="Not these rules, comma-separated.")
    templater: Literal["raw", "jinja", "python", "placeholder"] | None = Field(
        None, description="SQLFluff templater; dbt runs code and is refused."
    )
    config: ConfigText | None = Field(
        None, description="Text of a config file, over the archive's."
    )
    config_name: ConfigName = Field(".sqlfluff", description="Its name (ini or toml).")
    base_configs: list[tuple[ConfigName, LayerText]] = Field(
        default_factory=list,
        max_length=32,
        description="Configs below: (name, text), weakest first.",
    )
    overrides: dict[Literal[OVERRIDES], Any] = Field(  # type: ignore[valid-type]
        default_factory=dict, description="More keys of SQLFluff's command line."
    )
    fix: bool = Field(False, description="Also compute the fixed SQL (costs many times a lint).")
    cache: bool = Field(True, description="Reuse results of equal content and configuration.")
    disable_noqa: bool = Field(False, description="Do not honour in-file noqa and ignore.")
    local_config: bool = Field(True, description="Honour the config files beside the SQL.")
    fail_on: FailOn = Field("any", description="When the gate fails.")
    baseline: Digest | None = Field(None, description="Blob of the baseline: known violations.")
    reports: list[ReportName] = Field(
        default=["json"],
        max_length=len(get_args(ReportName)),
        description="Reports written at the job's end; every other is made when it is asked for.",
    )

    def core_overrides(self) -> dict[str, Any]:
        """Return what SQLFluff's command line would put over every configuration file."""
        told = {
            "dialect": self.dialect,
            "rules": self.rules,
            "exclude_rules": self.exclude_rules,
            "templater": self.templater,
            **self.overrides,
        }
        if self.disable_noqa:
            told["disable_noqa"] = True
        return {key: value for key, value in told.items() if value is not None}
