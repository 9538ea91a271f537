"""What OpenAPI promises holds for requests that are made from it: no mistake of ours in any."""

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import hypothesis
import pytest
import schemathesis
from schemathesis import checks as all_checks
from schemathesis.generation import GenerationMode

from tests.integration.web.conftest import Api, Running

WANTED = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance", "unsupported_method"),
)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_requests_made_from_the_schema_break_nothing(
    api: Api, running: Callable[..., Running], mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    told = running()
    headers = dict(api.caller("admin").headers)
    wanted = [all_checks.CHECKS.get_one(name) for name in WANTED]
    statuses: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation: Any = cast(Any, found).ok()

        @hypothesis.settings(
            max_examples=12,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(mode))
        def requested(case: Any) -> None:
            aimed(case, told)
            answer = case.call_and_validate(headers=headers, checks=wanted)
            statuses[answer.status_code] += 1

        try:
            requested()
        except hypothesis.errors.Unsatisfiable:
            # Nothing about the operation can be got wrong.
            assert mode is GenerationMode.NEGATIVE
    assert len(statuses) > 4
    assert sum(statuses.values()) > 100


def aimed(case: Any, told: Running) -> None:
    """Let requests about executions be about one that goes on, with its own token."""
    if "execution_id" in (case.path_parameters or {}):
        case.path_parameters["execution_id"] = str(told.id)
    if isinstance(case.body, dict) and "execution_id" in case.body:
        case.body["execution_id"] = str(told.id)
    if "token" in (case.path_parameters or {}):
        case.path_parameters["token"] = told.token


def test_every_operation_tells_its_errors_and_shows_what_it_takes(api: Api) -> None:
    document = api.bearer(None).get("/openapi.json").json()
    names = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names.append(operation["operationId"])
            assert operation["summary"], path
            assert operation["description"], path
            errors = {code for code in operation["responses"] if code >= "400"}
            assert {"422", "500", "503"} <= errors, path
            if operation.get("security"):
                assert "401" in errors, path
            for code in errors:
                content = operation["responses"][code]["content"]
                assert set(content) & {"application/problem+json", "application/json"}, (path, code)
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                assert "example" in _resolved(document, schema), (method, path)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["ApiToken", "ExecutionToken"])
def test_ways_to_be_let_in_are_told(api: Api, name: str) -> None:
    schemes = api.bearer(None).get("/openapi.json").json()["components"]["securitySchemes"]
    assert schemes[name]["scheme"] == "bearer"


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
