"""A connection to a reward server that outlives the server: it waits, asks again, and gives up after a stated time."""

from __future__ import annotations

import ipaddress
import os
import weakref
from typing import Any

import httpx2

from rmgym.errors import ModelError
from rmgym.models.remote.patience import Patience
from rmgym.models.remote.wire import CONTENT_TYPE
from rmgym.storage.foreign import parse_json

TOKEN, TOKEN_HOST = "RMGYM_TOKEN", "RMGYM_TOKEN_HOST"
"""The environment variables that hold a server's token, and the ``host`` or ``host:port`` that it is for."""
_FACTS: dict[str, Any] = {"name": str, "digest": str, "card_hash": str | None, "describe": dict}
_BINARY = {"Content-Type": CONTENT_TYPE}
_CONNECT = 10.0
"""Seconds for the connection itself, where ``timeout`` allows as many."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone; names other than ``localhost`` are not looked up, and do not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_url(url: str) -> None:
    """Refuse what is no address of a server.

    Raises:
        ModelError: it is not ``http(s)://host[:port]``, or has a user or password in it, which would be saved.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.userinfo:
        raise ModelError("a server's URL holds no password", got="a URL with '@'", fix=f"set {TOKEN} or pass token=")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise ModelError(
            "a reward server has a URL of the form http://host:port", got=url, fix="take the one 'rmgym serve' prints"
        )


def check_token(token: str) -> str:
    """Return a token that a header can hold.

    Raises:
        ModelError: it is empty, or holds spaces or characters beyond ASCII.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ModelError(
            "a token is printable ASCII without spaces",
            got=f"one of {len(token)} characters",
            fix="make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return token


def token_of_environment(url: str) -> str | None:
    """The token in ``RMGYM_TOKEN``, where it is for this server.

    It is for the host that ``RMGYM_TOKEN_HOST`` names, at the port named there or at any; without that variable, for
    this machine's loopback.
    """
    token, given = os.environ.get(TOKEN) or None, os.environ.get(TOKEN_HOST, "").lower()
    server = httpx2.URL(url)
    if not given:
        return token if is_loopback(server.host) else None
    return token if given in (_host_of(server), _host_and_port_of(server)) else None


def _host_of(server: httpx2.URL) -> str:
    return f"[{server.host}]" if ":" in server.host else server.host


def _host_and_port_of(server: httpx2.URL) -> str:
    return f"{_host_of(server)}:{server.port or {'http': 80, 'https': 443}[server.scheme]}"


class Connection:
    """Asks one server; may be shared by threads, not by processes.

    Args:
        url: of the server.
        token: what the server knows its clients by, None for none.
        wait: seconds to wait for a server that is away or busy, from the first request that failed.
        timeout: seconds for one answer.
    """

    def __init__(self, url: str, *, token: str | None, wait: float, timeout: float) -> None:
        self.url, self.wait, self.pid = url.rstrip("/"), wait, os.getpid()
        self._client = httpx2.Client(
            headers={} if token is None else {"Authorization": f"Bearer {check_token(token)}"},
            timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT)),
            # A proxy of the environment cannot reach this machine's own loopback, and would read a token in http.
            trust_env=not is_loopback(httpx2.URL(url).host) and (token is None or httpx2.URL(url).scheme == "https"),
        )
        weakref.finalize(self, self._client.close)

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """GET, or POST where there is a body; the answer's body.

        Raises:
            ModelError: there is no answer in time, or it is a refusal.
        """
        patience = Patience(self.url, self.wait)
        while True:
            try:
                if body is None:
                    answer = self._client.get(self.url + path)
                else:
                    answer = self._client.post(self.url + path, content=body, headers=_BINARY)
            except httpx2.RequestError as error:
                patience.pause(f"{type(error).__name__}: {error}", error)
                continue
            if answer.is_success:
                return answer.content
            explanation = _error_of(answer)
            if answer.status_code == 503 and explanation is not None:
                patience.pause(f"{explanation['rule']} ({explanation['received']})", busy=True)
            elif explanation is None and (answer.status_code >= 500 or _is_starting(answer)):  # a proxy's, or Ray's
                patience.pause(f"HTTP {answer.status_code}: {answer.text[:100]}")
            else:
                raise self._refusal(answer, explanation)

    def ask_json(self, path: str) -> dict[str, Any]:
        """What the server says about its model, checked.

        Raises:
            ModelError: as :meth:`ask`, or this is no reward server.
        """
        body = self.ask(path)
        try:
            facts: Any = parse_json(body)
            if all(isinstance(facts[key], kind) for key, kind in _FACTS.items()):
                return facts  # type: ignore[no-any-return]
        except (ValueError, TypeError, KeyError):
            pass
        raise self._other(body[:100].decode(errors="replace"))

    def _refusal(self, answer: httpx2.Response, explanation: dict[str, str] | None) -> ModelError:
        withheld = os.environ.get(TOKEN) and token_of_environment(self.url) is None
        if answer.status_code == 401 and withheld and "Authorization" not in self._client.headers:
            return ModelError(
                f"{TOKEN} goes to this machine's loopback, or to the host in {TOKEN_HOST}, and nowhere else",
                got=f"{self.url} wants a token, and was sent none",
                fix=f"where that token is for it, set {TOKEN_HOST}={_host_and_port_of(httpx2.URL(self.url))}",
            )
        if explanation is None:
            return self._other(f"HTTP {answer.status_code}: {answer.text[:100]}")
        return ModelError(explanation["rule"], got=explanation["received"], fix=explanation["fix"])

    def _other(self, got: str) -> ModelError:
        return ModelError("a reward server answers at this URL", got=f"{self.url}: {got}", fix="check host and port")


def _is_starting(answer: httpx2.Response) -> bool:
    """Whether Ray Serve's proxy answers before it knows of the deployment behind it."""
    return answer.status_code == 404 and "/-/routes" in answer.text


def _error_of(answer: httpx2.Response) -> dict[str, str] | None:
    """The error that an rmgym server sent; None where somebody else answers."""
    try:
        explanation = answer.json()["error"]
        return {key: str(explanation[key]) for key in ("rule", "received", "fix")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
