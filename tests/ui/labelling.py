"""Questions about real steps, and a labelling page about them without a server."""

from __future__ import annotations

import atexit
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from fastapi.testclient import TestClient

from rmgym.environments.collect import collect
from rmgym.feedback.ask import ask
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.questions import Question
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.person import Person
from rmgym.text import TextBatch, Textualizer, textualizer
from rmgym.text.reading import StepReader
from rmgym.transitions import Transitions
from rmgym.ui.access import Access
from rmgym.ui.clips import Viewer
from rmgym.ui.desk import Desk
from rmgym.ui.ladder_desk import LadderDesk
from rmgym.ui.pages import Pages
from rmgym.ui.pictures import Pictures
from rmgym.ui.refits import Refits
from rmgym.ui.sessions import sessions_beside
from rmgym.ui.site import Site

SECRET = b"x" * 32
ENV = "CartPole-v1"
_KEPT = TemporaryDirectory()
atexit.register(_KEPT.cleanup)


@cache
def steps_of(env: str = ENV) -> tuple[Transitions, TextBatch, Textualizer]:
    steps, text = collect(env, 300, reset_every=25, progress=False), textualizer(env)
    return steps, text.batch(steps), text


def asked(db: Path, *, ratings: int = 6, preferences: int = 6, length: int = 5, env: str = ENV) -> LabelStore:
    """A database with questions that nobody has answered."""
    return LabelStore(_asked(ratings, preferences, length, env).copy(db))


@cache
def _asked(ratings: int, preferences: int, length: int, env: str) -> LabelStore:
    store, (steps, texts, _) = (
        LabelStore(Path(_KEPT.name, f"{env}-{ratings}-{preferences}-{length}.sqlite")),
        steps_of(env),
    )
    ask(store, Person(), steps, texts, QuestionPlan(ratings=ratings, preferences=preferences, length=length))
    return store


@dataclass
class Labeller:
    """A browser without a screen."""

    client: TestClient
    html: str = ""

    def read(self) -> Labeller:
        answer = self.client.get("/")
        assert answer.status_code == 200
        self.html = answer.text
        token = re.search(r'name="post-token" content="(\w+)"', self.html)
        assert token
        self.client.headers["X-Post-Token"] = token[1]
        return self

    def field(self, name: str) -> str:
        match = re.search(rf'<article[^>]* data-{name}="([^"]*)"', self.html)
        return unescape(match[1]) if match else ""

    @property
    def question(self) -> str:
        return self.field("question")

    @property
    def word(self) -> str:
        """An answer that fits the question."""
        return "7" if self.field("kind") == "rating" else "left"

    def answer(self, word: str | None = None, question: str | None = None) -> int:
        """Send an answer; the status."""
        content = {"question": question or self.question, "answer": word or self.word}
        return self._post("/answer", content)

    def undo(self) -> int:
        return self._post("/undo", {"question": self.field("last")})

    def _post(self, path: str, content: dict[str, str]) -> int:
        answer = self.client.post(path, json=content)
        if answer.headers["content-type"].startswith("text/html"):
            self.html = answer.text
        return answer.status_code


class Room:
    """The page of one database; made anew, it is a page that was killed and started again."""

    def __init__(
        self,
        store: LabelStore,
        annotators: Sequence[str] = ("ann", "bob"),
        *,
        overlap: float = 0.0,
        env: str = ENV,
        examples: Mapping[str, Question] = MappingProxyType({}),
        on_ladder: bool = False,
        refits: Refits | None = None,
    ) -> None:
        self.store, text = store, steps_of()[2]
        self.access, self.sessions = Access(SECRET, annotators), sessions_beside(store.path)
        opened = LabelStore(store.path)
        self.desk = (
            LadderDesk(opened, annotators, overlap=overlap)
            if on_ladder
            else Desk(opened, annotators, levels=10, overlap=overlap)
        )
        self.pictures = Pictures(are_coming=False)
        viewer = Viewer(StepReader(text.card, text.language), self.desk.questions.values())
        pages = Pages(env, desk=self.desk, viewer=viewer, pictures=self.pictures, refits=refits, examples=examples)
        self.app = Site(self.access, self.sessions, self.desk, pages, self.pictures, refits).app()

    def client(self, *, session: str | None = None) -> TestClient:
        cookies = {} if session is None else {self.access.cookie: session}
        return TestClient(self.app, base_url="http://127.0.0.1", cookies=cookies)

    def labeller(self, annotator: str) -> Labeller:
        client = self.client()
        assert client.post("/login", json={"token": self.access.token(annotator)}).status_code == 204
        return Labeller(client).read()

    def answers(self) -> list[tuple[str, int]]:
        """Who has answered which question."""
        return sorted((who, row.query) for who in self.access.annotators for row in self.store.answers(who))
