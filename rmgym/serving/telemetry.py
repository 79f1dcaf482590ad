"""What a score server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from rmgym.models.base import RewardModel

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_ROWS = tuple(2**i for i in range(0, 17, 2))


class Metrics:
    """Counters of one server, in a registry of its own.

    Args:
        model: named by ``rmgym_model_info``.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, model: RewardModel) -> None:
        self._registry = CollectorRegistry()

        def at(name: str) -> str:
            return f"rmgym_{name}"

        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(at(name), about, buckets=buckets, registry=self._registry)

        info = Gauge(at("model_info"), "The served model; always 1.", ["name", "digest"], registry=self._registry)
        info.labels(model.name, model.digest).set(1)
        self._queue_rows = Gauge(at("queue_rows"), "Texts that wait for the model.", registry=self._registry)
        self._requests = Counter(
            at("requests"), "Answers to /score, by HTTP status.", ["status"], registry=self._registry
        )
        self._rows = Counter(at("rows"), "Texts that the model scored.", registry=self._registry)
        self._refused = Counter(at("refused"), "Requests refused by a full queue.", registry=self._registry)
        self._batch_rows = histogram("batch_rows", "Texts in one call of the model.", _ROWS)
        self._batch_requests = histogram("batch_requests", "Requests in one call of the model.", _ROWS[:6])
        self._model_seconds = histogram("model_seconds", "Seconds of one call of the model.", _SECONDS)
        self._request_seconds = histogram("request_seconds", "Seconds from a request to its answer.", _SECONDS)

    def watch(self, pending: Callable[[], int]) -> None:
        """Ask this function how many texts wait, at each :meth:`text`."""
        self._queue_rows.set_function(pending)

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        """Count one call of the model."""
        self._rows.inc(rows)
        self._batch_rows.observe(rows)
        self._batch_requests.observe(requests)
        self._model_seconds.observe(seconds)

    def answer(self, status: int, seconds: float) -> None:
        """Count one answer to ``/score``."""
        self._requests.labels(str(status)).inc()
        self._request_seconds.observe(seconds)
        if status == 503:
            self._refused.inc()

    def text(self) -> bytes:
        """All of them in Prometheus' format."""
        return generate_latest(self._registry)
