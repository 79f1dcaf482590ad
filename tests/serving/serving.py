"""Real score servers for tests: in a thread of the test, or in a process that can be killed."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from rmgym.models import Prediction, RewardModel, create_reward_model
from rmgym.models.remote.wire import CONTENT_TYPE
from rmgym.serving.batching import BatchOptions
from rmgym.serving.listening import listen, run
from rmgym.serving.server import score_app
from rmgym.text import TextBatch

TEXTS = TextBatch.from_strings([f"angle: {i / 8:.3f}, {word}" for i in range(30) for word in ("left", "right", "up 7")])


@contextmanager
def served(
    model: RewardModel,
    *,
    port: int = 0,
    at: tuple[socket.socket, str] | None = None,
    token: str | None = None,
    max_body: int = 2**20,
    **options: Any,
) -> Iterator[str]:
    """A server in a thread, at a port or at what :func:`listen` gave; its URL."""
    app = score_app(model, token=token, batching=BatchOptions(**options), max_body=max_body)
    listening, url = at or listen("127.0.0.1", port)
    ready, servers = Event(), list[Any]()
    thread = Thread(target=run, args=(app, listening), kwargs={"on_ready": lambda s: (servers.append(s), ready.set())})
    thread.start()
    assert ready.wait(60)
    try:
        yield url
    finally:
        servers[0].should_exit = True
        thread.join()


@contextmanager
def _hearing_ctrl_c() -> Iterator[None]:
    """A shell's background job ignores Ctrl-C, and so would what it starts; only the main thread can change that."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class ServerProcess:
    """``rmgym serve`` (or another program that prints its URL) in a process of its own."""

    def __init__(self, *arguments: str, module: str = "rmgym", env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", module, *arguments]
        with _hearing_ctrl_c():
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        line = self.line()
        found = re.search(r"http://\S+:(\d+)", line)
        assert found, line + self.process.communicate(timeout=30)[1]
        self.url, self.port = found[0], int(found[1])

    def line(self) -> str:
        """Wait for the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int = signal.SIGKILL) -> tuple[int, str, str]:
        """Send a signal; exit code and what was printed until the end."""
        self.process.send_signal(number)
        said, errors = self.process.communicate(timeout=60)
        return self.process.returncode, said, errors

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.kill()
        with self.process:  # closes its pipes and waits
            pass


def hang_up(port: int, times: int) -> None:
    """Stand in for a server that dies: take connections and close them."""
    with listen("127.0.0.1", port)[0] as listening:
        for _ in range(times):
            listening.accept()[0].close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for what other threads are about to do."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.005)


class Gated:
    """A model that scores when it is let, at the latest at the end of its ``with`` block."""

    def __init__(self, model: RewardModel) -> None:
        self.model = model
        self.name, self.digest, self.card_hash = model.name, model.digest, model.card_hash
        self.entered, self.opened = Event(), Event()

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        self.entered.set()
        assert self.opened.wait(60)
        return self.model.predict(texts)

    def __enter__(self) -> Gated:
        return self

    def __exit__(self, *raised: object) -> None:
        self.opened.set()

    def save(self, path: Any) -> Path:
        return self.model.save(path)

    def describe(self) -> dict[str, Any]:
        return self.model.describe()


def post(url: str, body: Any, timeout: float = 60, **headers: str) -> httpx2.Response:
    """Send a body to ``/score``, as the model ``remote`` does."""
    return httpx2.post(url + "/score", content=body, timeout=timeout, headers={"Content-Type": CONTENT_TYPE, **headers})


def metric(url: str, name: str, /, token: str = "", **labels: str) -> float:
    """A sample of a server's metrics."""
    text = httpx2.get(url + "/metrics", headers={"Authorization": f"Bearer {token}"} if token else {}).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    (value,) = (s.value for s in samples if s.name == name and s.labels == labels)
    return float(value)


class _Held:
    """The control ``random``, which says when it begins to score, and ends when a file is there."""

    def __init__(self, file: Path) -> None:
        self.model, self.file = create_reward_model("random"), file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def predict(self, texts: TextBatch) -> Prediction:
        print("scoring", flush=True)
        pause = Event()
        while not self.file.exists():
            pause.wait(0.01)
        return self.model.predict(texts)


if __name__ == "__main__":  # python -m tests.serving.serving FILE
    held: Any = _Held(Path(sys.argv[1]))
    socket_, address = listen("127.0.0.1", 0)
    run(score_app(held), socket_, on_ready=lambda server: print(address, flush=True))
