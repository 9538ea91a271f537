"""The figures of the HTTP side alone, declared once; labels are routes and words, never ids."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from pipeline import metrics

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_GROUP = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Figures:
    """One set of them for one application, so that two in a process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        # What the machine counts in this process, whichever application asks.
        self.registry.register(metrics.begin())
        self.requests = Counter(
            *("quayline_http_requests", "Requests answered.", ("method", "route", "status")),
            registry=self.registry,
        )
        self.seconds = Histogram(
            *("quayline_http_request_seconds", "From request to answer.", ("method", "route")),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_work = Gauge(
            "quayline_http_requests_in_work", "Requests in work now.", registry=self.registry
        )
        self.streams = Gauge(
            *("quayline_http_streams", "Clients that follow jobs live.", ("way",)),
            registry=self.registry,
        )
        self.heartbeats = Counter(
            *("quayline_heartbeats", "Heartbeats answered.", ("outcome",)), registry=self.registry
        )
        self.completions = Counter(
            *("quayline_completions", "Completions answered.", ("outcome",)), registry=self.registry
        )
        self.group_size = Histogram(
            *("quayline_heartbeat_group_size", "Heartbeats written in one transaction."),
            buckets=_GROUP,
            registry=self.registry,
        )
        self.access_records = Counter(
            *("quayline_access_records", "Requests for the access log, and what came of them."),
            ("outcome",),
            registry=self.registry,
        )
        # Its first increase is one that somebody is told of.
        self.access_records.labels("dropped").inc(0)
        self.upload_bytes = Counter(
            "quayline_upload_bytes", "Bytes of uploads received.", registry=self.registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        method = method if method in METHODS else "other"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)
