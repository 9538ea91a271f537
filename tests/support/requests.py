"""Records of the access log, as the API makes them."""

from datetime import datetime
from typing import Any

from pipeline import clock
from pipeline.core.access_log import Record


def record(at: datetime | None = None, **told: Any) -> Record:
    """Return the record of a request of Ann's, at that moment or now."""
    made = {
        **{"id": str(clock.id_at(at or clock.now())), "method": "GET", "path": "/api/v1/jobs"},
        **{"route": "/api/v1/jobs", "status_code": 200, "response_time_ms": 1.5, "user_id": "ann"},
        **{"resource_type": "job", "resource_id": None, "ip_address": "127.0.0.1"},
        **{"request_id": "r-1", "user_agent": "test"},
    }
    return Record(**{**made, **told})  # type: ignore[typeddict-item]
