"""What a browser sends in the name of a page from elsewhere is not answered; what programs send is."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Message

from rmgym.models import create_reward_model
from rmgym.models.remote.wire import CONTENT_TYPE, pack_texts
from rmgym.serving.gate import Gate, host_of
from tests.serving.serving import TEXTS, served


def post(url: str, headers: Mapping[str, str]) -> httpx2.Response:
    return httpx2.post(url + "/score", content=pack_texts(TEXTS), headers={"Content-Type": CONTENT_TYPE, **headers})


def refused(answer: httpx2.Response) -> tuple[int, str]:
    """Status and rule; every refusal says what was received and what to do."""
    error = answer.json()["error"]
    assert error["received"]
    assert error["fix"]
    return answer.status_code, error["rule"]


def test_without_a_token_only_names_of_loopback_are_answered() -> None:
    with served(create_reward_model("random")) as url:
        port = url.rpartition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", "127.0.0.2", f"[::1]:{port}"):
            assert post(url, {"Host": host}).status_code == 200, host
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1].evil.example", "", "["):
            for answer in (post(url, {"Host": host}), httpx2.get(url + "/model", headers={"Host": host})):
                assert refused(answer)[0] == 421, host
        assert refused(post(url, {"Host": "evil.example"}))[1].startswith("a server without a token is asked by a name")


def test_two_hosts_are_none() -> None:
    with served(create_reward_model("random")) as url, socket.create_connection(("127.0.0.1", int(url[17:]))) as raw:
        raw.sendall(b"GET /model HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n")
        assert raw.recv(100).split()[1] in (b"400", b"421")


def test_with_a_token_a_proxy_may_call_it_by_another_name() -> None:
    with served(create_reward_model("random"), token="s3cret") as url:
        for token, status in (("s3cret", 200), ("wrong", 401)):
            assert post(url, {"Host": "rm.example.org", "Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.parametrize("token", [None, "s3cret"])
def test_pages_of_other_sites_are_refused_whatever_they_ask(token: str | None) -> None:
    key = {} if token is None else {"Authorization": f"Bearer {token}"}
    with served(create_reward_model("random"), token=token) as url:
        host = url.removeprefix("http://")
        for origin in ("https://evil.example", "null", "http://127.0.0.1", f"http://{host}.evil.example", ""):
            answers = [
                post(url, {**key, "Origin": origin}),
                httpx2.get(url + "/model", headers={**key, "Origin": origin}),
                httpx2.options(url + "/score", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
            ]
            for answer in answers:
                assert refused(answer) == (403, "pages of other sites ask nothing here"), origin
                assert "access-control-allow-origin" not in answer.headers
        assert post(url, {**key, "Origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/json", ""],
)
def test_what_a_form_can_send_is_not_taken(kind: str) -> None:
    with served(create_reward_model("random")) as url:
        answer = post(url, {"Content-Type": kind})
        assert refused(answer) == (415, f"what is sent here is {CONTENT_TYPE}")
        assert post(url, {"Content-Type": CONTENT_TYPE.upper() + "; a=b"}).status_code == 200


def test_a_page_that_a_server_gives_is_guarded_by_the_same_gate() -> None:
    """As a labelling page would: its own origin, and JSON."""
    app = FastAPI()
    app.add_middleware(Gate, any_host=False, content_types=("application/json",))

    @app.put("/answers")
    def answer(value: dict[str, int]) -> int:
        return value["rating"]

    transport = httpx2.ASGITransport(app=app)

    async def put(**headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            return await client.put(
                "/answers",
                content=json.dumps({"rating": 7}),
                headers={"Content-Type": "application/json", **headers},
            )

    assert asyncio.run(put(Origin="http://127.0.0.1:7860")).json() == 7
    assert asyncio.run(put(Origin="http://127.0.0.1:7861")).status_code == 403
    assert asyncio.run(put(Host="evil.example")).status_code == 421
    assert asyncio.run(put(**{"Content-Type": "text/plain"})).status_code == 415


def test_a_web_socket_reaches_nobody() -> None:
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async def never(*_: Any) -> Any:
        raise AssertionError("nobody is asked")

    gate = Gate(never, any_host=True, content_types=())
    asyncio.run(gate({"type": "websocket", "headers": [(b"host", b"127.0.0.1")]}, never, send))
    assert sent == [{"type": "websocket.close"}]


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("LocalHost:", "localhost"),
        ("[::1]:8765", "::1"),
        ("[::1].evil.example:80", "[::1].evil.example"),
        ("localhost:80@evil.example", "localhost:80@evil.example"),
        ("", ""),
    ],
)
def test_hosts_without_their_ports(authority: str, host: str) -> None:
    assert host_of(authority) == host
