"""Judges whose skill is known: a real OpenAI-compatible server on loopback, and a client without one."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Any

from fastapi import FastAPI, Request, Response

from rmgym.judge.clients import Reply, normalised
from rmgym.serving.listening import listen, run

Opinion = Callable[[str], Mapping[str, float]]
"""From a prompt to probabilities of answers."""
_VALUE = re.compile(r"^- height: .* (-?[\d.]+)(?: before and)? after", re.MULTILINE)


def step(height: float, before: float = 0.0, task: str = "Climb.") -> str:
    """A text of rmgym's own layout, of a step that ends at a height."""
    return (
        f"Task: {task} State: height: {before:.3f}. Action: push: up. Next state: height: {height:.3f}. "
        "The episode goes on."
    )


def heights(prompt: str) -> list[float]:
    """The heights that a prompt is about; none of a prompt about nothing."""
    return [float(value) for value in _VALUE.findall(prompt)]


def chance_of(text: str) -> float:
    """A number in [0, 1) that is drawn by a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56


def by_height(right: float, *, taste: float = 0.0, seed: int = 0) -> Opinion:
    """Prefers and rates what is higher, in a share of all questions; at 0.5 its answers have nothing to do with it.

    Args:
        right: the share.
        taste: log-odds that are added to A, whatever A is.
        seed: of the questions that it errs about.
    """

    def opinion(prompt: str) -> Mapping[str, float]:
        values = heights(prompt)
        if len(values) == 2:
            errs = chance_of(f"{seed} {sorted(values)}") >= right
            odds = (2.0 if (values[0] > values[1]) != errs else -2.0) + taste
            return {"A": 1 / (1 + math.exp(-odds)), "B": 1 / (1 + math.exp(odds))}
        if "A or B" in prompt and not values:
            return {"A": 1 / (1 + math.exp(-taste)), "B": 1 / (1 + math.exp(taste))}
        level = 9 * min(max(values[0], 0.0), 1.0) if values else 4.5
        if "Action:" in prompt:  # a text that was given as it is
            level = 9 * chance_of(prompt)
        if values and chance_of(f"{seed} {values}") < 2 * (1 - right):  # of two steps one is rated at random then
            level = 9 * chance_of(f"{seed} level {values}")
        weights = {str(digit): math.exp(-abs(digit - level)) for digit in range(10)}
        return {digit: weight / sum(weights.values()) for digit, weight in weights.items()}

    return opinion


class FakeClient:
    """Answers at once, and counts."""

    at_once = 8

    def __init__(self, opinion: Opinion, identity: str = "fake") -> None:
        self.opinion, self.identity = opinion, identity
        self.asked = list[str]()

    def ask(self, prompts: Sequence[str], words: tuple[str, ...]) -> Iterator[tuple[int, Reply]]:
        for place, prompt in enumerate(prompts):
            self.asked.append(prompt)
            chances = self.opinion(prompt)
            logs = [math.log(chances[word]) if word in chances else -30.0 for word in words]
            yield place, Reply(logs=normalised(logs) if chances else (), read=100, written=1)


class FakeServer:
    """Counts requests, and does what it is told before it answers.

    Attributes:
        faults: what becomes of the next requests, the first first: ``429``, ``500``, ``slow``, ``malformed``, ``deep``,
            ``hostile``, ``other``; nothing more is wrong once they are used up.
        forms: in which the server answers: ``probabilities``, ``schema``, ``json``; others are refused (``schema``) or
            ignored (``probabilities``).
        bodies: the requests, and their headers.
    """

    def __init__(self, opinion: Opinion) -> None:
        self.opinion, self.url = opinion, ""
        self.faults = list[str]()
        self.always: str | None = None
        self.forms = {"probabilities", "schema", "json"}
        self.models = ["toy"]
        self.name = "toy"
        self.bodies = list[tuple[dict[str, Any], Mapping[str, str]]]()
        self._lock = Lock()

    def answer(self, body: dict[str, Any], *, chat: bool) -> Response:
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        chances = self.opinion(prompt)
        best = max(chances, key=lambda word: chances[word])
        if "response_format" in body:
            if "schema" not in self.forms:
                return Response('{"error": "response_format is not supported"}', 400)
            best = json.dumps({"answer": best})
        likely = [*sorted(chances.items(), key=lambda pair: -pair[1]), ("The", 1e-6)]
        top = {token: math.log(max(chance, 1e-30)) for token, chance in likely}
        tells = bool(body.get("logprobs")) and "probabilities" in self.forms
        if chat:
            content = [{"token": best, "top_logprobs": [{"token": t, "logprob": v} for t, v in top.items()]}]
            choice = {"message": {"content": best}, "logprobs": {"content": content} if tells else None}
        else:
            choice = {"text": best, "logprobs": {"top_logprobs": [top]} if tells else None}
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": 1}
        return Response(json.dumps({"model": self.name, "choices": [choice], "usage": usage}))

    def fault(self) -> Response | None:
        with self._lock:
            what = self.faults.pop(0) if self.faults else self.always
        if what == "slow":
            time.sleep(1.0)
        answers = {
            "429": Response('{"error": "slow down"}', 429, {"retry-after": "0.01"}),
            "500": Response("it broke \x1b[31m", 500),
            "malformed": Response('{"model": "toy", "choices": [{"mess'),
            "shapeless": Response('{"model": "toy", "choices": "none"}'),
            "deep": Response("[" * 100_000 + "]" * 100_000),
            "hostile": Response('{"model": "\\u001b]0;owned\\u0007\\u001b[2J", "choices": [{"text": "A"}]}'),
            "other": Response('{"model": "someone-else", "choices": [{"text": "A"}]}'),
            "refused": Response("no \x1b[2J entry", 403),
        }
        return answers.get(what or "")


@contextmanager
def serving(opinion: Opinion) -> Iterator[FakeServer]:
    """A server in a thread of the test."""
    fake, app = FakeServer(opinion), FastAPI()

    async def complete(request: Request, *, chat: bool) -> Response:
        from starlette.concurrency import run_in_threadpool

        body = await request.json()
        fake.bodies.append((body, dict(request.headers)))
        return (await run_in_threadpool(fake.fault)) or fake.answer(body, chat=chat)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await complete(request, chat=True)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await complete(request, chat=False)

    @app.get("/v1/models")
    async def models() -> Response:
        return Response(json.dumps({"data": [{"id": name} for name in fake.models]}))

    listening, fake.url = listen("127.0.0.1", 0)
    ready, servers = Event(), list[Any]()
    thread = Thread(target=run, args=(app, listening), kwargs={"on_ready": lambda s: (servers.append(s), ready.set())})
    thread.start()
    assert ready.wait(60)
    try:
        yield fake
    finally:
        servers[0].should_exit = True
        thread.join()
