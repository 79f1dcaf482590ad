"""A judge behind a real server on loopback, whatever that server does."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rmgym.errors import JudgeError
from rmgym.judge.remote_client import RemoteClient, Server
from tests.judge.fakes import FakeServer, by_height, serving

PROMPT = "- height: 0 before, 0.9 after\n- height: 0 before, 0.1 after\nA or B"
QUESTIONS = [PROMPT.replace("0.9", f"0.{i}") for i in range(2, 9)]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with serving(by_height(1.0)) as server:
        yield server


def client(fake: FakeServer, **options: Any) -> RemoteClient:
    return RemoteClient(Server(**{"url": fake.url, "served": "toy", "timeout": 0.5, "wait": 20, **options}))


def asked(client: RemoteClient, prompts: list[str], words: tuple[str, ...] = ("A", "B")) -> list[tuple[float, ...]]:
    replies = dict(client.ask(prompts, words))
    return [replies[place].logs for place in range(len(prompts))]


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_answers_are_probabilities_of_the_first_token(fake: FakeServer, api: str) -> None:
    ((a, b),) = asked(client(fake, api=api), [PROMPT])
    assert math.exp(a) + math.exp(b) == pytest.approx(1)
    assert a - b == pytest.approx(2.0)
    ((body, _),) = fake.bodies
    assert (body["max_tokens"], body["temperature"]) == (1, 0)


def test_prompts_keep_their_places_and_are_counted(fake: FakeServer) -> None:
    replies = dict(client(fake).ask([PROMPT, PROMPT.replace("0.9", "0.05")], ("A", "B")))
    assert [replies[i].logs[0] > replies[i].logs[1] for i in (0, 1)] == [True, False]
    assert (replies[0].read, replies[0].written) == (len(PROMPT.split()), 1)


@pytest.mark.parametrize(("forms", "requests"), [({"schema", "json"}, 2), ({"json"}, 3)])
def test_without_probabilities_the_answer_is_json(fake: FakeServer, forms: set[str], requests: int) -> None:
    fake.forms = forms
    judge = client(fake)
    ((a, b),) = asked(judge, [PROMPT])
    assert math.exp(a) == pytest.approx(0.98)
    assert len(fake.bodies) == requests
    asked(judge, [QUESTIONS[0]])
    assert len(fake.bodies) == requests + 1  # the form that works is remembered
    assert b < a


@pytest.mark.parametrize("text", ["maybe", "", '{"answer": "C"}', '{"answer": ["A"]}', "__import__('os')", "\x1b[2J"])
def test_nonsense_is_no_answer(fake: FakeServer, text: str) -> None:
    fake.opinion = lambda prompt: {text: 1.0}
    assert asked(client(fake), [PROMPT]) == [()]


@pytest.mark.parametrize("fault", ["429", "500", "slow", "malformed", "shapeless", "deep"])
def test_what_passes_is_waited_for(fake: FakeServer, fault: str) -> None:
    fake.faults = [fault] * 2
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # that it is away
        ((a, b),) = asked(client(fake), [PROMPT])
    assert a > b
    assert len(fake.bodies) == 3


@pytest.mark.parametrize("fault", ["429", "500", "slow", "malformed", "shapeless", "deep"])
def test_what_does_not_pass_is_an_error_that_harms_no_terminal(fake: FakeServer, fault: str) -> None:
    fake.always = fault
    impatient = client(fake, wait=0.2, timeout=0.3)
    with (
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),
        pytest.raises(JudgeError, match=r"answers within 0\.2 s") as caught,
    ):
        asked(impatient, [PROMPT])
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("fault", "rule"), [("other", "someone-else"), ("hostile", "owned"), ("refused", "403")])
def test_another_model_and_a_refusal_are_errors_at_once(fake: FakeServer, fault: str, rule: str) -> None:
    fake.always = fault
    with pytest.raises(JudgeError, match=rule) as caught:
        asked(client(fake), [PROMPT])
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_a_dated_name_is_the_same_model(fake: FakeServer) -> None:
    fake.name = "toy-2026-01-01"
    assert asked(client(fake), [PROMPT])[0]


def test_where_one_question_fails_the_others_are_there(fake: FakeServer) -> None:
    fake.faults = ["refused"]
    got = list[int]()
    fake.faults = ["refused"]
    with pytest.raises(JudgeError, match="403"):
        got.extend(place for place, _ in client(fake).ask(QUESTIONS, ("A", "B")))
    assert len(got) == len(QUESTIONS) - 1


def test_the_only_model_needs_no_name(fake: FakeServer) -> None:
    assert client(fake, served=None).identity == f"{fake.url}/v1 toy chat"
    fake.models = ["toy", "giant"]
    with pytest.raises(JudgeError, match="toy, giant"):
        client(fake, served=None)


def test_a_token_goes_to_the_server_that_the_user_named(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMGYM_TOKEN", "secret")
    asked(client(fake), [PROMPT])
    asked(client(fake, trusted=False), [PROMPT])
    assert [headers.get("authorization") for _, headers in fake.bodies] == ["Bearer secret", None]
    monkeypatch.setenv("RMGYM_TOKEN_HOST", "elsewhere.example")
    asked(client(fake), [PROMPT])
    assert fake.bodies[-1][1].get("authorization") is None


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://user:pass@host", "http://host?x=1", "smollm2"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(JudgeError):
        Server(url=url)


def test_words_that_are_not_likely_get_what_is_left(fake: FakeServer) -> None:
    fake.opinion = lambda prompt: {"7": 0.6, "8": 0.3, "I": 0.1}
    (logs,) = asked(client(fake), [PROMPT], tuple("0123456789"))
    chances = np.exp(logs)
    assert chances.sum() == pytest.approx(1)
    assert chances[7] == pytest.approx(2 * chances[8], rel=1e-6)
    assert chances[[0, 1, 9]].max() < 1e-4
