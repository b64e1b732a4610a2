"""What is measured, and the small functions that measure. All of them cost one comparison while metrics are off.

Names follow Prometheus: base units, `_total` for counters; every label has few values, whatever clients send. Values live in
files of the directory that `PROMETHEUS_MULTIPROC_DIR` names, so that one listener sees all processes (`cli.exporter`).
"""

from __future__ import annotations

import os
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
QUERY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
REDIS_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2)
JOB_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OPERATIONS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"})


class Batch:
    """Observations of one series, kept in plain numbers until the next `flush`: writing each one to the file takes 15 µs."""

    __slots__ = ("_buckets", "_counter", "_counts", "_histogram", "_seconds")

    def __init__(self, histogram: Histogram, buckets: tuple[float, ...], counter: Counter | None = None) -> None:
        """Begin with nothing. The counter counts the observations too."""
        self._histogram, self._counter, self._buckets = histogram, counter, buckets
        self._counts = [0] * (len(buckets) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Note one observation."""
        self._counts[bisect_left(self._buckets, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        """Write what was noted since the last time."""
        if not any(self._counts):
            return
        counts, seconds = self._counts, self._seconds
        self._counts, self._seconds = [0] * len(counts), 0.0
        if self._counter is not None:
            self._counter.inc(sum(counts))
        # The library has no public way to add more than one observation at a time.
        self._histogram._sum.inc(seconds)  # noqa: SLF001
        for bucket, count in zip(self._histogram._buckets, counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)


class Tally:
    """Counts of the series of one counter, kept in plain numbers until the next `flush`."""

    __slots__ = ("_counter", "_counts")

    def __init__(self, counter: Counter) -> None:
        """Begin with nothing."""
        self._counter = counter
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str) -> None:
        """Count one."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def flush(self) -> None:
        """Write what was counted since the last time."""
        counts, self._counts = self._counts, {}
        for labels, count in counts.items():
            self._counter.labels(*labels).inc(count)


class Instruments:
    """Every metric of the service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415 - not imported while metrics are off

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"frankenjet_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
            return Gauge(f"frankenjet_{name}", text, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type] # a Literal

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"frankenjet_{name}", text, labels, registry=registry, buckets=buckets)

        self.requests = counter("http_requests", "Requests answered", "method", "route", "status")
        self.request_seconds = histogram(
            "http_request_duration_seconds", "From the request to its last byte", REQUEST_BUCKETS_S, "method", "route"
        )
        self.in_flight = gauge("http_requests_in_flight", "Requests at work, besides those answered from the read cache")
        self.queued = gauge("http_requests_queued", "Requests that wait for their turn")
        self.shed = counter("http_requests_shed", "Requests answered 503 for want of time or places", "reason", "kind")
        cache_answers = counter("cache_answers", "Cacheable reads, by where the answer came from", "source")
        self.cache_answers = Tally(cache_answers)
        self.cache_invalidations = counter("cache_invalidations", "Tags of the read cache that a write has moved on")
        decisions = counter("rate_limit_decisions", "Decisions of the rate limiter", "policy", "decision")
        self.limiter_decisions = Tally(decisions)
        self.limiter_fallbacks = counter("rate_limit_fallbacks", "Decisions taken by one process alone, without Redis")
        self.redis_seconds = histogram("redis_round_trip_seconds", "Round trips to Redis", REDIS_BUCKETS_S)
        self.redis_failures = counter("redis_failures", "Commands that Redis did not answer in time, or refused")
        self.pool_connections = gauge("db_pool_connections", "Connections to PostgreSQL", "state")
        self.query_seconds = histogram("db_query_duration_seconds", "Statements, as the client sees them", QUERY_BUCKETS_S, "operation")
        self.query_failures = counter("db_query_failures", "Statements that failed, expected conflicts included")
        self.dependency_up = gauge("dependency_up", "1 if the dependency answers, 0 if not", "dependency", mode="livemin")
        self.jobs = counter("jobs", "Attempts of background jobs", "job", "outcome")
        self.job_seconds = histogram("job_duration_seconds", "Attempts of background jobs", JOB_BUCKETS_S, "job")
        self.jobs_overdue = gauge("jobs_overdue", "Jobs that should have run five minutes ago", mode="livemax")
        self.jobs_given_up = gauge("jobs_given_up", "Jobs that no worker tries any more", mode="livemax")
        self.mails = counter("mails", "Mails", "template", "outcome")
        self.uploads = counter("uploads", "Uploads of images", "outcome")
        self.upload_bytes = counter("upload_bytes", "Bytes of the images that were accepted")
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop was, at worst, within the last seconds", mode="livemax")
        self.resident_memory = gauge("process_resident_memory_bytes", "Memory of the largest process", mode="livemax")
        self.workers = gauge("workers", "Processes that serve")
        self.info = gauge("build_info", "1, labelled with the version", "version", mode="livemax")
        self.request_batches: dict[tuple[str, str, int], Batch] = {}
        self.query_batches: dict[str, Batch] = {}
        self.redis_batch = Batch(self.redis_seconds, REDIS_BUCKETS_S)

    def request_batch(self, method: str, route: str, status: int) -> Batch:
        """Return the batch of a series, which is made when it is first needed."""
        method = method if method in _METHODS else "other"
        batch = self.request_batches.get((method, route, status))
        if batch is None:
            counter = self.requests.labels(method, route, str(status))
            batch = Batch(self.request_seconds.labels(method, route), REQUEST_BUCKETS_S, counter)
            self.request_batches[method, route, status] = batch
        return batch

    def query_batch(self, operation: str) -> Batch:
        """Return the batch of a series."""
        operation = operation if operation in _OPERATIONS else "other"
        if operation not in self.query_batches:
            self.query_batches[operation] = Batch(self.query_seconds.labels(operation), QUERY_BUCKETS_S)
        return self.query_batches[operation]

    def flush(self) -> None:
        """Write all that was noted; the sampler does it each second."""
        for batch in (*self.request_batches.values(), *self.query_batches.values(), self.redis_batch):
            batch.flush()
        self.cache_answers.flush()
        self.limiter_decisions.flush()


class _Metrics:
    instruments: Instruments | None = None


def open_metrics() -> None:
    """Begin to measure, if the process was started with a directory for it."""
    if DIRECTORY_VARIABLE not in os.environ:
        return
    from prometheus_client import CollectorRegistry, values  # noqa: PLC0415

    # The library chooses when it is imported, which may have been before the variable was set.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    use(Instruments(CollectorRegistry()))


def use(instruments: Instruments | None) -> None:
    """Measure with these; None: not at all."""
    _Metrics.instruments = instruments


def instruments() -> Instruments | None:
    """Return what is measured with, None while metrics are off."""
    return _Metrics.instruments


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answer. `route` is a template."""
    if (to := _Metrics.instruments) is None:
        return
    batch = to.request_batches.get((method, route, status)) or to.request_batch(method, route, status)
    batch.add(seconds)


def shed(reason: str, *, write: bool) -> None:
    """Count a request that is answered 503 for want of time or places."""
    if (to := _Metrics.instruments) is not None:
        to.shed.labels(reason, "write" if write else "read").inc()


def cache_answer(source: str) -> None:
    """Count a cacheable read: memory, redis, miss, stale, bypass or collapsed."""
    if (to := _Metrics.instruments) is not None:
        to.cache_answers.add(source)


def cache_invalidated(tags: int) -> None:
    """Count the tags of a write."""
    if (to := _Metrics.instruments) is not None:
        to.cache_invalidations.inc(tags)


def limiter_decided(policy: str, *, allowed: bool, alone: bool = False) -> None:
    """Count a decision; `alone`: by this process, without Redis."""
    if (to := _Metrics.instruments) is not None:
        to.limiter_decisions.add(policy, "allowed" if allowed else "refused")
        if alone:
            to.limiter_fallbacks.inc()


def redis_answered(seconds: float) -> None:
    """Note a round trip to Redis."""
    if (to := _Metrics.instruments) is not None:
        to.redis_batch.add(seconds)


def redis_failed() -> None:
    """Count a command without a good answer."""
    if (to := _Metrics.instruments) is not None:
        to.redis_failures.inc()


def query_done(statement: str, seconds: float) -> None:
    """Note a statement's time."""
    if (to := _Metrics.instruments) is None:
        return
    operation = statement.lstrip()[:6].rstrip().upper()
    (to.query_batches.get(operation) or to.query_batch(operation)).add(seconds)


def query_failed() -> None:
    """Count a statement that failed."""
    if (to := _Metrics.instruments) is not None:
        to.query_failures.inc()


def job_ended(job: str, outcome: str, seconds: float) -> None:
    """Count an attempt: done, failed or given_up."""
    if (to := _Metrics.instruments) is not None:
        to.jobs.labels(job, outcome).inc()
        to.job_seconds.labels(job).observe(seconds)


def mail(template: str, outcome: str) -> None:
    """Count a mail: sent, failed or not_wanted."""
    if (to := _Metrics.instruments) is not None:
        to.mails.labels(template, outcome).inc()


def upload(outcome: str, size: int = 0) -> None:
    """Count an upload: stored, known or refused; `size` in bytes."""
    if (to := _Metrics.instruments) is not None:
        to.uploads.labels(outcome).inc()
        to.upload_bytes.inc(size)
