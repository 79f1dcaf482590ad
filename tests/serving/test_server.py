"""A real server on loopback: many clients, one model; what is wrong is refused with a reason."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from threading import Event
from typing import Any

import httpx2
import numpy as np
import pytest
from safetensors.numpy import load, save

from rmgym.errors import ModelError, ServeError
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.remote.wire import CONTENT_TYPE, pack_texts, unpack_texts
from rmgym.serving.listening import check_exposure, listen, url_of
from rmgym.serving.server import score_app
from tests.doubles import ToyReward
from tests.serving.serving import TEXTS, Gated, ServerProcess, metric, post, served, wait_until

TINY = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}


def remote(url: str, **options: Any) -> Any:
    return create_reward_model("remote", url=url, **{"wait": 30, **options})


def error_of(answer: httpx2.Response) -> dict[str, str]:
    said: dict[str, str] = answer.json()["error"]
    return said


def test_many_clients_get_the_scores_of_the_local_model_bit_for_bit() -> None:
    model = create_reward_model("random", seed=3)
    with served(model) as url, ThreadPoolExecutor(8) as pool:
        clients = [remote(url, batch=1 + i) for i in range(4)] * 2  # some share a connection
        rows = [np.random.default_rng(i).integers(0, len(TEXTS), size=i % 13) for i in range(80)]
        got = list(pool.map(lambda i: clients[i % 8].predict(TEXTS[rows[i]]), range(80)))
        asked = sum(-(-len(r) // (1 + i % 8 % 4)) for i, r in enumerate(rows))
        assert metric(url, "rmgym_requests_total", status="200") == asked
        assert metric(url, "rmgym_rows_total") == sum(map(len, rows))
    for index, prediction in zip(rows, got, strict=True):
        expected = model.predict(TEXTS[index])
        assert prediction.mean.tobytes() == expected.mean.tobytes()
        assert prediction.std.tobytes() == expected.std.tobytes()


def test_a_neural_model_alone_is_bit_for_bit_and_among_others_as_near_as_batches_are() -> None:
    model: Any = create_reward_model("seq2seq", seed=1, **TINY).accept_random_weights()
    model.prepare(TEXTS)
    expected = model.predict(TEXTS).mean
    with served(model, max_batch=1) as url, ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: remote(url).predict(TEXTS).mean, range(8)):
            assert got.tobytes() == expected.tobytes()
    with served(model) as url, ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: remote(url).predict(TEXTS).mean, range(8)):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * max(expected.std(), 1))


def test_requests_that_wait_are_scored_in_one_call() -> None:
    gate = Gated(create_reward_model("random"))
    with served(gate) as url, ThreadPoolExecutor(7) as pool, gate:
        first = pool.submit(remote(url).predict, TEXTS[:1])
        assert gate.entered.wait(60)
        others = [pool.submit(remote(url).predict, TEXTS[:5]) for _ in range(6)]
        wait_until(lambda: metric(url, "rmgym_queue_rows") == 30)
        gate.opened.set()
        assert [len(f.result(60)) for f in (first, *others)] == [1, 5, 5, 5, 5, 5, 5]
        assert metric(url, "rmgym_queue_rows") == 0
        assert metric(url, "rmgym_requests_total", status="200") == 7
        assert metric(url, "rmgym_batch_requests_count") == 2  # calls of the model
        assert metric(url, "rmgym_batch_rows_sum") == 31
        assert metric(url, "rmgym_batch_rows_bucket", le="16.0") == 1
        assert metric(url, "rmgym_request_seconds_count") == 7
        assert metric(url, "rmgym_model_info", name="random", digest=gate.digest) == 1


def test_a_full_queue_is_answered_with_503_and_the_client_comes_again() -> None:
    gate = Gated(create_reward_model("random"))
    with served(gate, max_pending=10) as url, ThreadPoolExecutor(3) as pool, gate:
        asked = [pool.submit(remote(url).predict, TEXTS[:1])]
        assert gate.entered.wait(60)
        asked.append(pool.submit(remote(url).predict, TEXTS[:8]))
        wait_until(lambda: metric(url, "rmgym_queue_rows") == 8)
        answer = post(url, pack_texts(TEXTS[:3]))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert error_of(answer)["rule"] == "at most 10 texts wait for the model"
        with pytest.raises(ModelError, match=r"within 0\.2 s\n.*at most 10 texts wait"):
            remote(url, wait=0.2).predict(TEXTS[:3])
        before = metric(url, "rmgym_refused_total")
        asked.append(pool.submit(remote(url).predict, TEXTS[:3]))
        wait_until(lambda: metric(url, "rmgym_refused_total") > before)
        gate.opened.set()
        for size, answered in zip((1, 8, 3), asked, strict=True):
            assert np.array_equal(answered.result(60).mean, gate.model.predict(TEXTS[:size]).mean)


def test_a_client_that_went_away_is_not_worked_for() -> None:
    toy = ToyReward()
    gate = Gated(toy)
    with served(gate) as url, ThreadPoolExecutor(1) as pool, gate:
        first = pool.submit(remote(url).predict, TEXTS[:1])
        assert gate.entered.wait(60)
        with pytest.raises(httpx2.ReadTimeout):
            post(url, pack_texts(TEXTS[:9]), timeout=0.1)
        wait_until(lambda: 'status="499"' in httpx2.get(url + "/metrics").text)
        gate.opened.set()
        first.result(60)
    assert toy.calls == [1]


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer s3cre", "Bearer s3cret2", "s3cret", "Basic s3cret"])
def test_without_the_token_nothing_is_told(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RMGYM_TOKEN", raising=False)
    headers = {} if given is None else {"Authorization": given}
    with served(create_reward_model("random"), token="s3cret") as url:
        assert httpx2.get(url + "/health").json() == {"status": "ok"}
        for path in ("/model", "/metrics"):
            answer = httpx2.get(url + path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "RMGYM_TOKEN" in error_of(answer)["fix"]
        assert post(url, pack_texts(TEXTS), **headers).status_code == 401
        with pytest.raises(ModelError, match=r"knows its clients by a token[\s\S]*set RMGYM_TOKEN"):
            remote(url, token="wrong").predict(TEXTS)
        with pytest.raises(ModelError, match="a request without one"):
            _ = remote(url).digest
        expected = create_reward_model("random").predict(TEXTS).mean
        assert np.array_equal(remote(url, token="s3cret").predict(TEXTS).mean, expected)
        monkeypatch.setenv("RMGYM_TOKEN", "s3cret")
        assert np.array_equal(remote(url).predict(TEXTS).mean, expected)


def test_what_is_no_message_or_too_long_is_refused() -> None:
    with served(create_reward_model("random"), max_body=10_000) as url:
        answer = post(url, b"hello")
        assert (answer.status_code, error_of(answer)["type"]) == (400, "TextError")
        assert "pack_texts" in error_of(answer)["rule"]
        for body in (bytes(10_001), iter([bytes(9_000)] * 2)):  # with its length ahead, and in chunks
            answer = post(url, body)
            assert (answer.status_code, error_of(answer)["rule"]) == (413, "a request has at most 10000 bytes")
        many = TEXTS[np.zeros(2000, np.int64)]
        with pytest.raises(ModelError, match="fewer texts at once"):
            remote(url).predict(many)
        assert len(remote(url, batch=400).predict(many)) == 2000


def with_facts(facts: bytes) -> bytes:
    """A message of texts whose facts are these bytes."""
    return save({**load(pack_texts(TEXTS)), "facts": np.frombuffer(facts, np.uint8)})


@pytest.mark.parametrize(
    "body",
    [
        with_facts(b'{"templates": ["\xff\xfe"]}'),
        with_facts(b"[" * 500_000),
        with_facts(b'{"a": ' * 100_000),
        with_facts(b'{"templates": ["\\ud800"], "phrases": [], "language": "en", "card_hash": null}'),
        b"\x08\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        (500_000).to_bytes(8, "little") + b"[" * 500_000,
        b"\xff" * 64,
    ],
)
def test_malformed_utf_8_and_nested_json_are_bad_requests(body: bytes) -> None:
    with served(create_reward_model("random")) as url:
        answer = post(url, body)
        assert (answer.status_code, error_of(answer)["type"]) == (400, "TextError")
        assert len(remote(url).predict(TEXTS)) == len(TEXTS)


def test_others_are_answered_while_a_request_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = Event(), Event()

    def slowly(body: bytes) -> Any:
        begun.set()
        assert go.wait(60)
        return unpack_texts(body)

    monkeypatch.setattr("rmgym.serving.server.unpack_texts", slowly)
    with served(create_reward_model("random")) as url, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, url, pack_texts(TEXTS))
        try:
            assert begun.wait(60)
            assert httpx2.get(url + "/health").json() == {"status": "ok"}
        finally:
            go.set()
        assert asked.result(60).status_code == 200


def half_sent(url: str, size: int) -> socket.socket:
    """A connection whose request will never be whole."""
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    heading = f"POST /score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {size + 1}"
    connection.sendall(heading.encode() + b"\r\n\r\n" + bytes(size))
    return connection


def test_requests_that_are_here_at_once_have_a_largest_size_together() -> None:
    with served(create_reward_model("random"), max_body=10_000) as url, ExitStack() as connections:
        for _ in range(4):
            connections.enter_context(half_sent(url, 9_000))
        wait_until(lambda: post(url, bytes(9_000)).status_code == 503)
        refusal = post(url, bytes(9_000))
        assert (refusal.headers["retry-after"], error_of(refusal)["received"]) == ("1", "more")
        assert len(remote(url, batch=5).predict(TEXTS[:5])) == 5  # what has room is scored
        connections.close()
        wait_until(lambda: post(url, bytes(9_000)).status_code == 400)


def test_a_client_that_hangs_up_is_one_line_of_the_log() -> None:
    with ServerProcess("serve", "random", "--port", "0") as server:
        half_sent(server.url, 1000).close()
        wait_until(lambda: 'status="499"' in httpx2.get(server.url + "/metrics").text)
        assert len(remote(server.url).predict(TEXTS)) == len(TEXTS)
        assert server.end(signal.SIGTERM)[2] == "a client of /score went away before it was answered\n"


def test_what_the_model_refuses_is_an_error_of_the_client_that_asked() -> None:
    model: Any = create_reward_model("seq2seq", seed=1, **TINY).accept_random_weights()
    model.card_hash = "ours"
    with served(model) as url:
        client = remote(url)
        assert client.card_hash == "ours"
        with pytest.raises(
            ModelError, match=r"card it was fitted on\n.*texts of card theirs, model of card ours\n.*fix"
        ):
            client.predict(replace(TEXTS, card_hash="theirs"))
        assert len(client.predict(replace(TEXTS, card_hash="ours"))) == len(TEXTS)
        assert metric(url, "rmgym_requests_total", status="422") == 1


def test_a_model_that_breaks_is_not_asked_again() -> None:
    class Broken(ToyReward):
        def predict(self, texts: Any) -> Any:
            raise RuntimeError("out of memory")

    with served(Broken()) as url:
        with pytest.raises(ModelError, match=r"without failing\n.*out of memory"):
            remote(url).predict(TEXTS)
        assert metric(url, "rmgym_requests_total", status="500") == 1
        assert httpx2.get(url + "/health").status_code == 200


def test_a_fact_that_is_no_number_is_null() -> None:
    class Unmeasured(ToyReward):
        def describe(self) -> dict[str, Any]:
            return {**super().describe(), "fitted_on": {"spearman": float("nan"), "r2": 0.5}}

    with served(Unmeasured()) as url:
        assert remote(url).describe()["served"]["fitted_on"] == {"spearman": None, "r2": 0.5}


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/redoc"])
def test_nothing_else_is_there(path: str) -> None:
    with served(create_reward_model("random")) as url:
        assert httpx2.get(url + path).status_code == 404


def test_stopping_answers_what_was_asked() -> None:
    gate, stopping = Gated(create_reward_model("random")), Event()
    with ThreadPoolExecutor(2) as pool, gate:
        with served(gate) as url:
            asked = pool.submit(remote(url).predict, TEXTS)
            assert gate.entered.wait(60)
            pool.submit(lambda: (stopping.wait(60), gate.opened.set()))
            stopping.set()
        assert np.array_equal(asked.result(60).mean, gate.model.predict(TEXTS).mean)


def test_the_control_true_and_impossible_tokens_are_refused() -> None:
    with pytest.raises(ModelError, match="reads none"):
        score_app(load_reward_model("true"))
    for token in ("", "with space", "schlüssel", "new\nline"):
        with pytest.raises(ModelError, match="printable ASCII"):
            score_app(create_reward_model("random"), token=token)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_token(host: str) -> None:
    check_exposure(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org", ""])
def test_any_other_host_needs_one(host: str) -> None:
    with pytest.raises(ServeError, match="wants a token"):
        check_exposure(host, None)
    check_exposure(host, "s3cret")


def test_a_port_that_is_taken_or_none_is_refused() -> None:
    listening, url = listen("127.0.0.1", 0)
    with listening, pytest.raises(ServeError, match=r"free port[\s\S]*--port 0"):
        listen("127.0.0.1", int(url.rpartition(":")[2]))
    for host, port in (("127.0.0.1", 70000), ("192.0.2.1", 0)):
        with pytest.raises(ServeError, match="free port"):
            listen(host, port)


def test_urls() -> None:
    assert url_of("127.0.0.1", 1) == "http://127.0.0.1:1"
    assert url_of("::1", 2) == "http://[::1]:2"
    assert "0.0.0.0" not in url_of("0.0.0.0", 3)
