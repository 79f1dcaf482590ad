"""Many clients of one ``rmgym serve``, which is killed under them and started again."""

from __future__ import annotations

import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
from common import Cell
from faults_jobs import inputs

import rmgym
from rmgym.errors import ModelError

sys.path.append(str(Path(__file__).parents[1]))  # where tests/ is
from tests.serving.serving import ServerProcess, free_port

TOLERANCE = 1e-5
"""Of the rewards' own scale, as docs/serving.md states it."""
_MOST = 40  # texts in one request


@dataclass
class Client:
    """What one client saw.

    Attributes:
        requests: that were answered.
        wrong: answers of which a number was further from the model's own than the tolerance.
        gave_up: requests that failed for good.
        largest: the largest difference, in units of the rewards' scale.
        errors: why they failed.
    """

    requests: int = 0
    wrong: int = 0
    gave_up: int = 0
    largest: float = 0.0
    errors: list[str] = field(default_factory=list[str])


def server(cell: Cell, runs: Path) -> Cell:
    """Clients for so many seconds of a server, which is killed so many times in between; all answers are compared."""
    folder = inputs(runs)
    model = rmgym.load_reward_model(folder / "model")
    steps = rmgym.Transitions.load(folder / "steps.parquet")
    texts = rmgym.textualizer("Pendulum-v1").batch(steps)
    expected, port = model.predict(texts), free_port()
    scale = float(expected.mean.std())

    def work(number: int) -> Client:
        """One client, in a thread of its own, until the time is over."""
        seen, rng = Client(), np.random.default_rng([cell["seed"], number])
        client = rmgym.create_reward_model("remote", url=f"http://127.0.0.1:{port}", wait=120.0)
        while not over.is_set():
            rows = rng.integers(len(texts), size=int(rng.integers(1, _MOST)))
            try:
                answer = client.predict(texts[rows])
            except ModelError as error:
                seen.gave_up += 1
                seen.errors.append(str(error)[:300])
                continue
            off = np.maximum(abs(answer.mean - expected.mean[rows]), abs(answer.std - expected.std[rows])) / scale
            seen.requests, seen.largest = seen.requests + 1, max(seen.largest, float(off.max()))
            seen.wrong += not off.max() <= TOLERANCE
        return seen

    arguments = ("serve", str(folder / "model"), "--port", str(port))
    process = ServerProcess(*arguments)
    killed, over, pause = list[int](), Event(), cell["length"] / (cell["kills"] + 1)
    with warnings.catch_warnings(record=True) as said, ThreadPoolExecutor(cell["clients"]) as pool:
        warnings.simplefilter("always")
        clients = [pool.submit(work, number) for number in range(cell["clients"])]
        for _ in range(cell["kills"]):
            time.sleep(pause)
            killed.append(process.end()[0])
            process = ServerProcess(*arguments)
        time.sleep(pause)
        over.set()
        seen = [client.result() for client in clients]
        waits = sum("is away" in str(warning.message) for warning in said)
    process.end()
    return {
        "done": sum(each.requests for each in seen),
        "killed": killed,
        "wrong": sum(each.wrong for each in seen),
        "gave_up": sum(each.gave_up for each in seen),
        "waits": waits,
        "largest": max(each.largest for each in seen),
        "fewest": min(each.requests for each in seen),
        "errors": [error for each in seen for error in each.errors][:5],
    }
