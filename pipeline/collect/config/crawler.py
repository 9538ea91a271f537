"""What a crawler may be told."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.collect.config.fields import MIB, Address, OutputFormat, Pattern, Some, Strict, Text

DEFAULT_USER_AGENT = "Mozilla/5.0 (compatible; DataCollector/1.0)"
FieldName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00\n_][^\x00\n]*$")]


class Rule(Strict):
    """Where one field's value is: exactly one place, or a selector and a pattern within it."""

    css: Some | None = Field(None, description="CSS; `::text` and `::attr(name)` work.")
    xpath: Some | None = Field(None, description="XPath 1.0, relative to the item.")
    json_ld: Some | None = Field(None, description="JSON path within each JSON-LD object.")
    meta: Some | None = Field(None, description="`property` or `name` of a <meta>.")
    regex: Pattern | None = Field(None, description="First group, or all of the match.")
    many: bool = Field(False, description="A list of all values instead of the first one.")
    kind: Literal["text", "number", "integer", "url", "html"] = "text"
    default: Any = Field(None, description="The value where nothing is found.")
    required: bool = Field(False, description="An item without a value is left out.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = [each for each in (self.css, self.xpath, self.json_ld, self.meta) if each]
        if len(places) > 1 or not (places or self.regex):
            raise ValueError("give one of css, xpath, json_ld, meta, regex (regex may be added)")
        return self


class ItemSelector(Strict):
    """Many items on a page: the elements that hold one each."""

    css: Some | None = None
    xpath: Some | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.css is None) == (self.xpath is None):
            raise ValueError("give either css or xpath")
        return self


class Follow(Strict):
    """Which links lead to further pages."""

    max_depth: int = Field(3, ge=0, le=1000, description="Links from a start page; 0: none.")
    allow: list[Pattern] = Field(default_factory=list, max_length=1000)
    deny: list[Pattern] = Field(default_factory=list, max_length=1000)
    same_host: bool = Field(True, description="Stay on the hosts of the start pages.")
    allowed_hosts: list[Some] = Field(default_factory=list, max_length=1000)
    within: Some | None = Field(None, description="CSS of the parts whose links count.")


#: A CSS selector, a rule, or several of which the first that finds something counts.
FieldRule = Some | Rule | Annotated[list[Some | Rule], Field(min_length=1, max_length=20)]


class CrawlerConfig(Strict):
    """Pages to fetch, what to read from them, and how gently."""

    target_urls: list[Address] = Field(default_factory=list, max_length=100_000)
    max_pages: int = Field(100, ge=1, le=10_000_000)
    delay: float = Field(1.0, ge=0, le=3600, description="Seconds between requests to a host.")
    concurrency: int = Field(4, ge=1, le=64)
    user_agent: Annotated[str, Field(min_length=1, pattern=r"^[ -~]{1,500}$")] = DEFAULT_USER_AGENT
    output_format: OutputFormat = "json"
    data_fields: (
        Annotated[list[FieldName], Field(max_length=1000)]
        | Annotated[dict[FieldName, FieldRule], Field(max_length=1000)]
    ) = Field(default_factory=list)
    item_selector: Some | ItemSelector | None = None
    include_url: bool = Field(True, description="Each item says its page as `_url`.")
    follow: Follow = Field(default_factory=Follow)
    obey_robots: bool = True
    timeout_s: float = Field(30.0, gt=0, le=600, description="For one page, with its body.")
    max_retries: int = Field(4, ge=0, le=20)
    max_retry_after_s: float = Field(300.0, ge=0, le=86_400)
    max_page_bytes: int = Field(10 * MIB, ge=1024, le=1024 * MIB)
    max_redirects: int = Field(5, ge=0, le=20)
    content_types: list[Text] = Field(
        default_factory=lambda: ["text/html", "application/xhtml+xml"], min_length=1
    )
