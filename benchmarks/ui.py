"""Is the labelling page quick enough for ten people at once, and does it lose or double an answer?

python benchmarks/ui.py            # about a quarter of an hour
python benchmarks/ui.py --quick    # 3 people, 60 questions

`rmgym ui` runs in a process of its own, with 350 steps of CartPole to rate and 350 pairs of segments of 10 steps to
compare. Ten annotators are at it, each over a connection of their own, who answer at random after a pause that is
exponential with a mean of three seconds: quick people. Timed is what the page waits for: from sending an answer until
the whole next question is there. In the cells *pictures* the server draws clips all the while. In the cells
*kills* it is killed (-9) twice and started again; whoever gets no answer sends the same one again, as the page does.

*Lost* are answers that were confirmed and are not in the database as they were given, *doubled* questions that two
people have answered. Not covered: the browser's own time to show what it got, and networks.
"""

from __future__ import annotations

import html
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import httpx2
import numpy as np
from common import Cell, arguments, claim, run_cells, write_results

from rmgym.feedback.questionnaire import code_of
from rmgym.feedback.store import LabelStore
from rmgym.serving.listening import listen
from rmgym.ui.access import Access, secret_beside
from rmgym.ui.replies import word_of

KINDS = ("words", "pictures", "kills")
PAUSE = 3.0
"""Mean seconds that an annotator thinks."""
LENGTH = 10
SLOWEST = 150.0
"""Milliseconds that the 95th percentile may be."""
_FIELD = re.compile(r'<article data-question="([^"]*)"(?: data-kind="(\w+)")?')
_TOKEN = re.compile(r'name="post-token" content="(\w+)"')


@dataclass
class Server:
    """`rmgym ui` in a process, which can be killed and started again at the same place."""

    database: Path
    annotators: list[str]
    options: tuple[str, ...]
    url: str = ""
    running: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; returns once it answers."""
        names = [f"--annotator={name}" for name in self.annotators]
        if not self.url:
            listening, self.url = listen("127.0.0.1", 0)
            listening.close()
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "rmgym", "ui", "CartPole-v1", "--db", str(self.database), *names]
        self.running = subprocess.Popen([*command, *self.options, "--port", port], stdout=subprocess.PIPE, text=True)
        assert self.running.stdout is not None
        assert "token=" in self.running.stdout.readline(), "the page does not start"

    def end(self) -> None:
        """Kill it."""
        if self.running is not None:
            self.running.send_signal(signal.SIGKILL)
            self.running.communicate()


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.end()


@dataclass
class Annotator:
    """Somebody who answers until nothing is left."""

    name: str
    rng: np.random.Generator
    confirmed: dict[str, str] = field(default_factory=dict[str, str])
    milliseconds: list[float] = field(default_factory=list[float])
    refused: int = 0

    def work(self, server: Server, access: Access, done: Event) -> None:
        """Answer what comes."""
        with httpx2.Client(base_url=server.url, timeout=120) as client:
            login = client.post("/login", json={"token": access.token(self.name)})
            client.headers["Cookie"] = login.headers["set-cookie"].partition(";")[0]
            page = client.get("/").text
            token = _TOKEN.search(page)
            assert token is not None
            client.headers["X-Post-Token"] = token[1]
            while (question := _FIELD.search(page)) is not None and question[1] and not done.is_set():
                time.sleep(float(self.rng.exponential(PAUSE)))
                page = self._answer(client, html.unescape(question[1]), question[2])

    def _answer(self, client: httpx2.Client, code: str, kind: str) -> str:
        words = ["left", "right", "tie"] if kind == "preference" else [str(level) for level in range(1, 11)]
        word = str(self.rng.choice(words))
        while True:
            start = time.perf_counter()
            try:
                answer = client.post("/answer", json={"question": code, "answer": word})
            except httpx2.RequestError:
                time.sleep(0.25)  # the server is away: the same answer is sent again
                continue
            self.milliseconds.append(1000 * (time.perf_counter() - start))
            assert answer.status_code in (200, 409), answer.text
            if answer.status_code == 200:
                self.confirmed[code] = word
            else:
                self.refused += 1
            return answer.text


def measure(cell: Cell) -> Cell:
    people = [Annotator(f"annotator {i}", np.random.default_rng([cell["seed"], i])) for i in range(cell["people"])]
    half, names = cell["questions"] // 2, [each.name for each in people]
    options = ("--ratings", str(half), "--preferences", str(half), "--length", str(LENGTH), "--seed", str(cell["seed"]))
    with TemporaryDirectory() as folder:
        database = Path(folder, "labels.sqlite")
        drawn = "--pictures" if cell["what"] == "pictures" else "--no-pictures"
        access, done = Access(secret_beside(database), names), Event()
        with serving(Server(database, names, (*options, drawn))) as server, ThreadPoolExecutor(len(people)) as pool:
            start = time.perf_counter()
            working = [pool.submit(each.work, server, access, done) for each in people]
            try:
                for third in (1, 2) if cell["what"] == "kills" else ():
                    while sum(len(each.confirmed) for each in people) < third * 2 * half // 3:
                        time.sleep(0.05)
                    server.end()
                    server.start()
                for each in working:
                    each.result()
            finally:
                done.set()
            minutes = (time.perf_counter() - start) / 60
        return {**_judged(LabelStore(database), people), "labels_per_minute": round(2 * half / minutes, 1)}


def _judged(store: LabelStore, people: list[Annotator]) -> Cell:
    codes = {asked.id: code_of(asked.kind, asked.key) for asked in store.asked()}
    kept = {each.name: {codes[row.query]: word_of(row) for row in store.answers(each.name)} for each in people}
    lost = sum(kept[each.name].get(code) != word for each in people for code, word in each.confirmed.items())
    times = np.array([ms for each in people for ms in each.milliseconds])
    return {
        "asked": len(codes),
        "answered": sum(map(len, kept.values())),
        "confirmed": sum(len(each.confirmed) for each in people),
        "lost": lost,
        "doubled": sum(count > 1 for count in Counter(code for words in kept.values() for code in words).values()),
        "refused": sum(each.refused for each in people),
        "milliseconds": {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95, 99)},
        "longest": round(float(times.max()), 1),
    }


def claims_of(cells: list[Cell]) -> list[Cell]:
    def total(name: str) -> int:
        return sum(cell[name] for cell in cells)

    open_ones = total("asked") - total("answered")
    claims = [
        claim(name, f"Answers that were {name}, of {total('confirmed')}", total(name), bound=0, holds=total(name) == 0)
        for name in ("lost", "doubled")
    ]
    claims.append(claim("open", "Questions that nobody answered", open_ones, bound=0, holds=open_ones == 0))
    for what in ("words", "pictures"):
        worst = max(cell["milliseconds"]["p95"] for cell in cells if cell["what"] == what)
        statement = f"Milliseconds from an answer to the next question, 95th percentile ({what})"
        claims.append(claim(f"p95-{what}", statement, worst, bound=SLOWEST, holds=worst < SLOWEST))
    return claims


def main() -> None:
    """Measure, and write the result."""
    given = arguments(__doc__, seeds=(0,))
    people, questions = (3, 60) if given.quick else (10, 700)
    cells = [
        {"what": what, "people": people, "questions": questions, "seed": seed} for seed in given.seeds for what in KINDS
    ]
    measured = run_cells(cells, measure, given.runs, processes=1)
    write_results(given.out, measured, claims_of(measured), given.seeds, pause=PAUSE)


if __name__ == "__main__":
    main()
