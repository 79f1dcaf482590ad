"""The score server: a reward model behind HTTP.

``POST /score`` takes and gives the messages of :mod:`rmgym.models.remote.wire`; ``GET /model`` says which model
answers, ``/health`` whether it does, ``/metrics`` how much. Nothing that arrives is unpickled, formatted or
run. What is not covered: encryption (put a TLS proxy in front, or a tunnel) and limits per client.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from rmgym.errors import ModelError, RmgymError, ServeError, TextError
from rmgym.models.base import Prediction, RewardModel, check_fitted
from rmgym.models.remote.connection import TOKEN, TOKEN_HOST, check_token
from rmgym.models.remote.wire import CONTENT_TYPE, pack_prediction, unpack_texts
from rmgym.serving.batching import Batcher, BatchOptions
from rmgym.serving.gate import Gate
from rmgym.serving.refusals import Refusal, refuse
from rmgym.serving.telemetry import Metrics
from rmgym.text.batch import TextBatch

MAX_BODY = 64 * 2**20
"""Most bytes of a request: some hundred thousand texts."""
MAX_BODIES = 4
"""Requests of so many bytes may be here at once, or as many bytes in more of them."""
_LOG = logging.getLogger(__name__)
_LOOK = 1.0
"""Seconds between looks whether a client still waits for its answer."""
_CLIENT_GONE = 499
"""The status of what nobody waits for, as nginx counts it."""


def score_app(
    model: RewardModel,
    *,
    token: str | None = None,
    batching: BatchOptions | None = None,
    max_body: int = MAX_BODY,
) -> FastAPI:
    """Make the ASGI application that serves a model; one per process, as it holds the model's thread.

    Args:
        model: any reward model.
        token: if given, everything but ``/health`` wants ``Authorization: Bearer <token>``; else only who asks a name
            of this machine's loopback is answered.
        batching: how requests of many clients are put together.
        max_body: most bytes of a request; of all that are here, :data:`MAX_BODIES` times as many.

    Raises:
        ModelError: the model was not fitted, or the token does not fit into a header.
    """
    check_fitted(model)
    server = _Server(model, token if token is None else check_token(token), batching, max_body)
    app = FastAPI(title="rmgym", lifespan=server.lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(Refusal, refuse)
    app.add_middleware(Gate, any_host=token is not None, content_types=(CONTENT_TYPE,))
    app.add_api_route("/health", server.health, response_model=None)
    app.add_api_route("/model", server.model_facts, response_model=None)
    app.add_api_route("/metrics", server.metrics_text, response_model=None)
    app.add_api_route("/score", server.score, methods=["POST"], response_model=None)
    return app


class _Body:
    """The bytes of a request as they came, and how many they are, or were."""

    def __init__(self) -> None:
        self.chunks, self.size = list[bytes](), 0

    def unpack(self) -> TextBatch:
        """The texts; the bytes are not needed any more."""
        whole = b"".join(self.chunks)
        self.chunks.clear()
        return unpack_texts(whole)


def _gone() -> Refusal:
    error = ServeError("a client waits for its answer", got="it is gone", fix="raise the client's timeout")
    return Refusal(_CLIENT_GONE, error)


class _Server:
    """The endpoints, and what they share."""

    def __init__(self, model: RewardModel, token: str | None, batching: BatchOptions | None, max_body: int) -> None:
        self._token, self._max_body, self._held = token, max_body, 0
        self._digest = model.digest
        self._facts = {
            "name": model.name,
            "digest": model.digest,
            "card_hash": model.card_hash,
            # NaN, which a measure of the fit may be, is no JSON.
            "describe": json.loads(json.dumps(model.describe(), default=str), parse_constant=lambda name: None),
        }
        self._metrics = Metrics(model)
        self._batcher = Batcher(model, batching, on_batch=self._metrics.batch)
        self._metrics.watch(lambda: self._batcher.pending)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        """At the end, answer what waits."""
        del app
        yield
        await asyncio.to_thread(self._batcher.close)

    async def health(self) -> Response:
        """200 where requests are answered, else 503."""
        alive = self._batcher.alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    async def model_facts(self, request: Request) -> Response:
        """Which model answers."""
        self._authorise(request)
        return JSONResponse(self._facts)

    async def metrics_text(self, request: Request) -> Response:
        """Counters for Prometheus."""
        self._authorise(request)
        return Response(self._metrics.text(), media_type=self._metrics.content_type)

    async def score(self, request: Request) -> Response:
        """Score a message of texts."""
        started, body = time.perf_counter(), _Body()
        try:
            self._authorise(request)
            await self._read(request, body)
            prediction = await self._scored(request, body)
            message = await asyncio.to_thread(pack_prediction, prediction, self._digest)
            answer = Response(message, media_type=CONTENT_TYPE)
        except Refusal as refusal:
            answer = refusal.response()
            if refusal.status == _CLIENT_GONE:
                _LOG.warning("a client of /score went away before it was answered")
        finally:
            self._held -= body.size
        self._metrics.answer(answer.status_code, time.perf_counter() - started)
        return answer

    def _authorise(self, request: Request) -> None:
        """Refuse who does not know the token; the time it takes tells nothing about it."""
        if self._token is None:
            return
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            error = ServeError(
                "this reward server knows its clients by a token",
                got="another one" if given else "a request without one",
                fix=f"set {TOKEN}, beyond loopback {TOKEN_HOST} too, and give this server's URL (a saved folder sends "
                "no token), or pass token= to the model 'remote'",
            )
            raise Refusal(401, error, www_authenticate="Bearer")

    async def _read(self, request: Request, body: _Body) -> None:
        """Read a request, and no further than it may be long, nor than there is room for."""
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isdecimal() else 0
        try:
            async for chunk in request.stream():
                body.chunks.append(chunk)
                body.size += len(chunk)
                self._held += len(chunk)
                if max(size, body.size) > self._max_body:
                    error = ServeError(
                        f"a request has at most {self._max_body} bytes",
                        got=f"{size or 'more'}",
                        fix="send fewer texts at once: batch= of the model 'remote'",
                    )
                    raise Refusal(413, error, connection="close")
                if self._held > MAX_BODIES * self._max_body:
                    error = ServeError(
                        f"requests that are here together have at most {MAX_BODIES * self._max_body} bytes",
                        got="more",
                        fix="ask again later",
                    )
                    raise Refusal(503, error, retry_after="1", connection="close")
        except ClientDisconnect:
            raise _gone() from None

    async def _scored(self, request: Request, body: _Body) -> Prediction:
        try:
            texts = await asyncio.to_thread(body.unpack)  # the loop answers others meanwhile
        except TextError as error:
            raise Refusal(400, error) from error
        try:
            waiting = asyncio.wrap_future(self._batcher.submit(texts))
        except ServeError as error:
            raise Refusal(503, error, retry_after="1") from error
        while not (await asyncio.wait([waiting], timeout=_LOOK))[0]:
            if await request.is_disconnected():
                waiting.cancel()
        try:
            return waiting.result()
        except asyncio.CancelledError:
            raise _gone() from None
        except RmgymError as error:
            raise Refusal(422, error) from error
        except Exception as error:
            _LOG.exception("the served model failed")
            broken = ModelError("the served model scores texts without failing", got=repr(error), fix="see its log")
            raise Refusal(500, broken) from error
