"""Micro-batching across clients: what arrives while the model is busy is scored together next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread

import numpy as np

from rmgym.errors import ModelError, ServeError
from rmgym.models.base import Prediction, RewardModel
from rmgym.text.batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How requests are put together.

    Attributes:
        max_batch: most texts in one call of the model. A request is never divided: a larger one is a call of its own,
            and 1 gives every request a call of its own.
        max_wait: seconds that the first request of a batch may wait for others, where the model is idle.
        max_pending: texts that may wait for the model; a request that would make it more is refused.
    """

    max_batch: int = 1024
    max_wait: float = 0.002
    max_pending: int = 65536

    def __post_init__(self) -> None:
        if not (self.max_batch >= 1 and 0 <= self.max_wait < float("inf") and self.max_pending >= 1):
            raise ServeError(
                "batches and the queue hold at least one text, and no request waits for ever",
                got=f"max_batch={self.max_batch}, max_wait={self.max_wait}, max_pending={self.max_pending}",
                fix="leave them out for the defaults",
            )


@dataclass(frozen=True, eq=False)
class _Request:
    texts: TextBatch
    answer: Future[Prediction] = field(default_factory=Future)

    @property
    def key(self) -> tuple[str, str | None]:
        """Requests with equal keys may be scored together."""
        return self.texts.language, self.texts.card_hash


class Batcher:
    """One thread that scores what many submit; the oldest request is always in the next batch.

    Args:
        model: is called by that thread alone.
        options: see :class:`BatchOptions`.
        on_batch: is told of each call of the model: requests and texts in it, and its seconds.
    """

    def __init__(
        self,
        model: RewardModel,
        options: BatchOptions | None = None,
        *,
        on_batch: Callable[[int, int, float], None] = lambda requests, rows, seconds: None,
    ) -> None:
        self._model, self._options, self._on_batch = model, options or BatchOptions(), on_batch
        self._queue = deque[_Request]()
        self._changed = Condition()
        self._pending, self._closed = 0, False
        self._thread = Thread(target=self._work, name="rmgym-batcher", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Texts that wait; those in the model's hands do not count."""
        return self._pending

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and not self._closed

    def submit(self, texts: TextBatch) -> Future[Prediction]:
        """Put a request into the queue; cancelling the future takes it out again if it is not being scored yet.

        A request is never refused for its size alone: an empty queue takes any.

        Raises:
            ServeError: too many texts wait already, or the batcher is closed.
        """
        with self._changed:
            if self._closed:
                raise ServeError("the reward server is running", got="it is being stopped", fix="ask again later")
            if self._queue and self._pending + len(texts) > self._options.max_pending:
                raise ServeError(
                    f"at most {self._options.max_pending} texts wait for the model",
                    got=f"{self._pending} waiting and {len(texts)} more",
                    fix="ask again later, or raise --max-pending",
                )
            request = _Request(texts)
            self._queue.append(request)
            self._pending += len(texts)
            self._changed.notify_all()
        return request.answer

    def close(self) -> None:
        """Answer what waits, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while requests := self._take():
            self._answer([r for r in requests if r.answer.set_running_or_notify_cancel()])

    def _take(self) -> list[_Request]:
        """Wait for requests, and take those that are scored together next; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            until = time.monotonic() + self._options.max_wait
            while not self._closed and self._pending < self._options.max_batch:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            taken, kept, rows = list[_Request](), deque[_Request](), 0
            for request in self._queue:
                fits = not taken or rows + len(request.texts) <= self._options.max_batch
                if fits and (not taken or request.key == taken[0].key):
                    taken.append(request)
                    rows += len(request.texts)
                else:
                    kept.append(request)
            self._queue = kept
            self._pending -= rows
            return taken

    def _answer(self, requests: Sequence[_Request]) -> None:
        """Score requests together; where that fails, each alone, so that none pays for another."""
        if not requests:
            return
        try:
            predictions = self._predict([r.texts for r in requests])
        except Exception as error:
            if len(requests) == 1:
                requests[0].answer.set_exception(error)
                return
            for request in requests:
                self._answer([request])
            return
        for request, prediction in zip(requests, predictions, strict=True):
            request.answer.set_result(prediction)

    def _predict(self, parts: Sequence[TextBatch]) -> list[Prediction]:
        """One call of the model.

        Raises:
            ModelError: it refuses the texts, or gives something else than one finite number per text.
        """
        texts = parts[0] if len(parts) == 1 else TextBatch.concatenate(parts)
        started = time.perf_counter()
        prediction = self._model.predict(texts)
        self._on_batch(len(parts), len(texts), time.perf_counter() - started)
        mean, std = np.asarray(prediction.mean, np.float32), np.asarray(prediction.std, np.float32)
        finite = bool(np.isfinite(mean).all() and np.isfinite(std).all())
        if mean.shape != (len(texts),) or std.shape != mean.shape or not finite:
            raise ModelError(
                "a reward model answers one finite number per text",
                got=f"mean {mean} and std {std} from {self._model.name!r} for {len(texts)} texts",
                fix="fit the served model again, or serve another one",
            )
        bounds = np.cumsum([len(part) for part in parts])[:-1]
        return [Prediction(m, s) for m, s in zip(np.split(mean, bounds), np.split(std, bounds), strict=True)]
