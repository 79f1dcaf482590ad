"""The labelling page as an application: who is let in, what is answered, and in which words it is refused.

``GET /`` is the page, ``POST /answer`` and ``POST /undo`` give the next question as HTML once all is on the disk. What
is not covered: encryption, as for ``rmgym serve``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rmgym.errors import AnsweredError, FeedbackError, ServeError
from rmgym.serving.gate import Gate
from rmgym.serving.refusals import Refusal, refuse
from rmgym.ui.access import Access
from rmgym.ui.desk import Desk
from rmgym.ui.pages import STATIC, Pages
from rmgym.ui.pictures import Pictures
from rmgym.ui.refits import Refits
from rmgym.ui.sessions import SECONDS, Sessions

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_KINDS = {"css": "text/css", "js": "text/javascript"}
_DAY = 24 * 3600
_MOST = 10_000
"""Bytes of a post."""
Word = Annotated[str, Field(max_length=200)]


class Login(BaseModel):
    """What a login brings."""

    token: Word


class Reply(BaseModel):
    """An answer, and the code of its question."""

    question: Word
    answer: Word


class Undo(BaseModel):
    """The code of the question whose answer is taken back."""

    question: Word


class Site:
    """The page's addresses.

    Args:
        access: who may label.
        sessions: who is logged in.
        desk: who is asked what.
        pages: what they see.
        pictures: of clips.
        refits: what is fitted meanwhile, if anything is.
    """

    def __init__(
        self,
        access: Access,
        sessions: Sessions,
        desk: Desk,
        pages: Pages,
        pictures: Pictures,
        refits: Refits | None = None,
    ) -> None:
        self._sessions, self._refits = sessions, refits
        self._access, self._desk, self._pages, self._pictures = access, desk, pages, pictures
        self._ahead = ThreadPoolExecutor(1)

    def app(self, *, any_host: bool = False) -> FastAPI:
        """The application.

        Args:
            any_host: whether it may be called by other names than those of this machine's loopback.
        """
        app = FastAPI(title="rmgym", docs_url=None, redoc_url=None, openapi_url=None)
        app.add_exception_handler(Refusal, refuse)
        app.add_exception_handler(RequestValidationError, _refuse_content)
        app.add_middleware(_Brief)
        app.add_middleware(Gate, any_host=any_host, content_types=("application/json",))
        app.add_api_route("/", self.page, response_model=None)
        app.add_api_route("/progress", self.progress, response_model=None)
        app.add_api_route("/answers.csv", self.answers, response_model=None)
        app.add_api_route("/login", self.login, methods=["POST"], response_model=None)
        app.add_api_route("/logout", self.logout, methods=["POST"], response_model=None)
        app.add_api_route("/answer", self.answer, methods=["POST"], response_model=None)
        app.add_api_route("/undo", self.undo, methods=["POST"], response_model=None)
        app.add_api_route("/beside/{question}", self.beside, response_model=None)
        app.add_api_route("/clips/{digest}.webp", self.clip, response_model=None)
        app.add_api_route("/static/{name}", _static, response_model=None)
        return app

    def page(self, request: Request) -> Response:
        """The page, or where a token is asked for."""
        annotator = self._owner(request)
        if annotator is None:
            return _html(self._pages.login(), 401)
        return _html(self._pages.page(annotator, self._access.post_token(self._session(request))))

    def progress(self, request: Request) -> Response:
        """How far everybody is, or where a token is asked for."""
        annotator = self._owner(request)
        if annotator is None:
            return _html(self._pages.login(), 401)
        return _html(self._pages.progress(annotator, self._access.post_token(self._session(request))))

    def answers(self, request: Request) -> Response:
        """All answers, as a file."""
        if self._owner(request) is None:
            raise _stranger("no login")
        try:
            content = self._desk.export()
        except FeedbackError as error:
            raise Refusal(404, error) from error
        kept = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="answers.csv"'}
        return Response(content, media_type="text/csv", headers={**_HEADERS, **kept})

    def login(self, request: Request, content: Login) -> Response:
        """Begin a session, whose cookie scripts cannot read and other sites' requests do not bring."""
        if (annotator := self._access.annotator(content.token)) is None:
            raise _stranger("another token")
        response, session = Response(status_code=204, headers=_HEADERS), self._sessions.begin(annotator)
        secure = request.url.scheme == "https"
        response.set_cookie(
            self._access.cookie, session, max_age=SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return response

    def logout(self, request: Request) -> Response:
        """End a session."""
        self._sender(request)
        self._sessions.end(self._session(request))
        response = Response(status_code=204, headers=_HEADERS)
        response.delete_cookie(self._access.cookie, httponly=True, samesite="strict")
        return response

    def answer(self, request: Request, content: Reply) -> Response:
        """Store an answer."""
        who = self._sender(request)
        return self._next(who, lambda: self._desk.answer(who, content.question, content.answer))

    def undo(self, request: Request, content: Undo) -> Response:
        """Take one back."""
        who = self._sender(request)
        return self._next(who, lambda: self._desk.undo(who, content.question))

    def clip(self, request: Request, digest: str) -> Response:
        """The pictures of a clip; 503 while they may still come."""
        if self._owner(request) is None:
            raise _stranger("no login")
        if (sheet := self._pictures.sheet(digest)) is not None:
            return Response(
                sheet, media_type="image/webp", headers={**_HEADERS, "Cache-Control": f"private, max-age={_DAY}"}
            )
        return Response(status_code=503 if self._pictures.are_coming else 404, headers=_HEADERS)

    def beside(self, request: Request, question: str, low: str = "", high: str = "") -> Response:
        """A step to be placed, beside its neighbours on the ladder."""
        if self._owner(request) is None:
            raise _stranger("no login")
        try:
            return _html(self._pages.beside(question, low, high))
        except FeedbackError as error:
            raise Refusal(400, error) from error

    def _owner(self, request: Request) -> str | None:
        """Whose session a request is of; None where that has ended, or they may not label any more."""
        annotator = self._sessions.owner(self._session(request))
        return annotator if annotator in self._access.annotators else None

    def _session(self, request: Request) -> str:
        return request.cookies.get(self._access.cookie, "")

    def _sender(self, request: Request) -> str:
        """Whose post it is.

        Raises:
            Refusal: nobody's, or one that their own page did not send.
        """
        annotator = self._owner(request)
        if annotator is None:
            raise _stranger("no login")
        if not self._access.is_post_of(self._session(request), request.headers.get("x-post-token")):
            error = ServeError("answers come from this page", got="a post without its token", fix="reload the page")
            raise Refusal(403, error)
        return annotator

    def _next(self, annotator: str, work: Callable[[], None]) -> Response:
        """Do what was asked, and show what comes next; where it was answered already, say so there."""
        try:
            work()
        except AnsweredError as error:
            return _html(self._pages.turn(annotator, error), 409)
        except FeedbackError as error:
            raise Refusal(400, error) from error
        shown = self._pages.turn(annotator)
        self._ahead.submit(self._pages.prepare, annotator)
        if self._refits is not None:
            self._refits.consider(self._desk.answered)
        return _html(shown)


class _Brief:
    """ASGI middleware: 413 for posts that are longer than any answer, and nothing is read of them beyond that.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        left = _MOST

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _too_long()
            return message

        announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if announced.isdecimal() and int(announced) > _MOST:
            await _too_long().response()(scope, receive, send)
            return
        await self._app(scope, limited, send)


def _too_long() -> Refusal:
    error = ServeError(f"an answer has at most {_MOST} bytes", got="more", fix="send one answer at a time")
    return Refusal(413, error, connection="close")


def _static(name: str) -> Response:
    if name not in STATIC:
        return Response(status_code=404, headers=_HEADERS)
    kind = _KINDS[name.rpartition(".")[2]]
    return Response(STATIC[name], media_type=kind, headers={**_HEADERS, "Cache-Control": "no-cache"})


def _html(content: str, status: int = 200) -> Response:
    return HTMLResponse(content, status, headers={**_HEADERS, "Cache-Control": "no-store"})


def _stranger(got: str) -> Refusal:
    error = ServeError("the page knows its annotators by a token", got=got, fix="open the link that 'rmgym ui' printed")
    return Refusal(401, error)


async def _refuse_content(request: Request, invalid: Exception) -> Response:
    """Say that what was sent is no answer."""
    del request, invalid
    fix = 'send {"question": CODE, "answer": WORD}'
    return Refusal(400, ServeError("what is sent here is an answer as JSON", got="something else", fix=fix)).response()
