"""Where a score server listens, who may reach it there, and how it stops."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

from rmgym.errors import ServeError
from rmgym.models.remote.connection import TOKEN, TOKEN_HOST, is_loopback

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

_GRACE = 60
"""Seconds that requests may take to end once the server is asked to stop."""
_IDLE = 75
"""Seconds that an idle connection is kept: longer than most updates of an agent between two rollouts."""


def check_exposure(host: str, token: str | None) -> None:
    """Refuse to be reached from other machines without a token.

    Raises:
        ServeError: the host is not this machine's loopback, and there is no token.
    """
    if token is None and not is_loopback(host):
        raise ServeError(
            "a server that other machines can reach wants a token",
            got=f"host {host} and none",
            fix=f"export {TOKEN}=$(python -c 'import secrets; print(secrets.token_urlsafe())'), here and for clients, "
            f"and {TOKEN_HOST}=NAME:PORT of this machine for clients that are not on it",
        )


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Listen.

    Args:
        host: name or address of this machine.
        port: 0 takes a free one.

    Returns:
        The socket, and the URL that leads to it.

    Raises:
        ServeError: the port is taken, or the host is not this machine.
    """
    try:
        if not 0 <= port < 2**16:
            raise OverflowError("a port is between 0 and 65535")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ServeError(
            "a server listens on a free port of this machine",
            got=f"{host}:{port}: {error}",
            fix="stop what listens there, or take --port 0 for any free port",
        ) from error
    return listening, url_of(host, listening.getsockname()[1])


def url_of(host: str, port: int) -> str:
    """The URL that leads to a host and a port; where a server listens on every address, by the machine's name."""
    host = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: FastAPI, listening: socket.socket, *, on_ready: Callable[[uvicorn.Server], None] = lambda server: None
) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are being answered then are still answered.

    Args:
        app: an ASGI application.
        listening: from :func:`listen`; closed at the end.
        on_ready: is called once requests are answered and signals handled, with the :class:`uvicorn.Server`, whose
            ``should_exit`` stops it too.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready(self)

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_GRACE,
    )
    if current_thread() is main_thread():
        # uvicorn raises the signal again when all is done; what SIGTERM asked for has happened by then.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    with listening:
        Server(config).run(sockets=[listening])
