"""What a server of this machine asks of a request before it looks at it: the browser in front of it is not its friend.

A page of any site can send requests to loopback from its visitor's browser. Three headers, which a page cannot choose,
give it away: ``Host``, where a name of the page's own was made to lead here (DNS rebinding); ``Origin``, which is the
page's; and ``Content-Type``, since without asking first a browser sends three kinds alone, none of which is taken here.
What is not covered: programs on this machine, which can send what they like.
"""

from __future__ import annotations

from collections.abc import Collection

from fastapi.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rmgym.errors import ServeError
from rmgym.models.remote.connection import TOKEN, TOKEN_HOST, is_loopback
from rmgym.serving.refusals import Refusal


class Gate:
    """ASGI middleware: 421 for another host, 403 for another origin, 415 for another kind of content.

    Args:
        app: what is behind it.
        any_host: whether it may be called by any name, as where a token is wanted and a proxy may stand in front; else
            by names and addresses of loopback alone.
        content_types: kinds of what is sent here (by POST, PUT, PATCH, DELETE), without parameters such as the charset.
            What a plain HTML form sends is never to be among them.
    """

    def __init__(self, app: ASGIApp, *, any_host: bool, content_types: Collection[str]) -> None:
        self._app, self._any_host, self._content_types = app, any_host, content_types

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it; WebSockets, which no server here speaks, are closed."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] == "http":
            try:
                self._check(scope["method"], Headers(scope=scope))
            except Refusal as refusal:
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        """Refuse a request by its headers.

        Raises:
            Refusal: it comes by another name, from another page, or brings something else.
        """
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not (self._any_host or is_loopback(host_of(hosts[0]))):
            error = ServeError(
                "a server without a token is asked by a name of this machine's loopback",
                got=f"Host: {', '.join(hosts) or 'none'}",
                fix=f"ask http://127.0.0.1:PORT, or set {TOKEN} for server and clients (there {TOKEN_HOST} too)",
            )
            raise Refusal(421, error)
        if any(origin.partition("://")[2].lower() != hosts[0].lower() for origin in origins):
            error = ServeError(
                "pages of other sites ask nothing here",
                got=f"Origin: {', '.join(origins)} at Host: {hosts[0]}",
                fix="ask from a program, or from a page that this server gave",
            )
            raise Refusal(403, error)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method in ("POST", "PUT", "PATCH", "DELETE") and kind not in self._content_types:
            wanted = " or ".join(self._content_types)
            error = ServeError(
                f"what is sent here is {wanted}", got=kind or "no Content-Type", fix=f"set Content-Type: {wanted}"
            )
            raise Refusal(415, error)


def host_of(authority: str) -> str:
    """The host of ``host:port``; an IPv6 address without its brackets.

    Example:
        >>> host_of("Localhost:8765"), host_of("[::1]:8765"), host_of("[::1]")
        ('localhost', '::1', '::1')
    """
    host, colon, port = authority.rpartition(":")
    whole = host if colon and (port.isdecimal() or not port) else authority
    return whole[1:-1] if whole.startswith("[") and whole.endswith("]") else whole.lower()
