"""What a request was about is read from the address of its route."""

import pytest

from pipeline.web.resources import resource_of


@pytest.mark.parametrize(
    ("route", "parameters", "found"),
    [
        ("/api/v1/jobs", {}, ("job", None)),
        ("/api/v1/jobs/{job_id}/cancel", {"job_id": "7"}, ("job", "7")),
        ("/api/v1/schedules/{name}", {"name": "nightly"}, ("schedule", "nightly")),
        ("/api/v1/dead-letters/{letter_id}", {"letter_id": "x"}, ("dead_letter", "x")),
        ("/api/v1/access-log", {}, ("access_log", None)),
        ("/api/v1/statistics", {}, ("statistics", None)),
        (
            "/t/{token}/api/v1/task/execution/{execution_id}/status",
            {"execution_id": "e"},
            ("execution", "e"),
        ),
        ("unmatched", {}, (None, None)),
        ("/openapi.json", {}, (None, None)),
    ],
)
def test_resource(
    route: str, parameters: dict[str, str], found: tuple[str | None, str | None]
) -> None:
    assert resource_of(route, parameters) == found


def test_resource_that_was_made_is_that_of_its_location() -> None:
    location = "/api/v1/jobs/7"
    assert resource_of("/api/v1/jobs", {}, location) == ("job", "7")
    assert resource_of("/api/v1/jobs/{job_id}/retry", {"job_id": "6"}, location) == ("job", "6")
