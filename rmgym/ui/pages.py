"""The pages as HTML: templates that escape whatever they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rmgym.errors import FeedbackError
from rmgym.feedback.agreement import Agreement, agreement, agreement_of_each
from rmgym.feedback.questions import Question, segment_digest
from rmgym.ui.clips import HEIGHT, WIDTH, Row, View, Viewer
from rmgym.ui.desk import Desk
from rmgym.ui.pictures import Pictures
from rmgym.ui.refits import Refits
from rmgym.ui.turns import Turn

_HERE = Path(__file__).parent
STATIC = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())}
"""Files that the pages refer to, by name."""
_KEPT = 512
"""Views that are kept ready."""


@dataclass(frozen=True)
class Rung:
    """A step of a ladder, in a line: its code, its digest, and its values."""

    code: str
    digest: str
    label: str


@dataclass(frozen=True, kw_only=True)
class KindAgreement:
    """How far annotators agree on one kind of questions: its name, all of them, and each with the others."""

    name: str
    of_all: Agreement
    of_each: Mapping[str, Agreement]


class Pages:
    """Makes what an annotator sees.

    Args:
        env: the environment's name.
        desk: who is asked what.
        viewer: what is shown of a question.
        pictures: of clips.
        refits: what is fitted meanwhile, if anything is.
        examples: steps that show what ``low`` and ``high`` mean, by these words.
    """

    def __init__(
        self,
        env: str,
        *,
        desk: Desk,
        viewer: Viewer,
        pictures: Pictures,
        refits: Refits | None = None,
        examples: Mapping[str, Question] = MappingProxyType({}),
    ) -> None:
        self._desk, self._pictures, self._refits = desk, pictures, refits
        self._examples = [(f"an example of {word}", viewer.view(step)) for word, step in examples.items()]
        asked = desk.questions
        self._view = lru_cache(_KEPT)(lambda code: viewer.view(asked[code]))
        self._beside = lru_cache(_KEPT)(
            lambda low, code, high: viewer.beside(asked.get(low), asked[code], asked.get(high))
        )
        self._rung = cache(lambda code: Rung(code, segment_digest(asked[code].left), viewer.label(asked[code])))
        templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
        )
        shared: dict[str, Any] = {
            "env": env,
            "box": (f"{WIDTH:g}", f"{HEIGHT:g}"),
            "pictured": self._is_pictured,
            "by_group": _by_group,
            "alpha": _alpha,
        }
        templates.globals.update(shared)  # templates that others include know them too
        self._page, self._turn, self._shown, self._progress, self._login = (
            templates.get_template(f"{name}.html") for name in ("page", "turn", "shown", "progress", "login")
        )

    def login(self) -> str:
        """Where a token is asked for."""
        return self._login.render()

    def page(self, annotator: str, post_token: str) -> str:
        """The whole page; its posts bring the token along."""
        return self._page.render(annotator=annotator, post_token=post_token, **self._facts(annotator))

    def progress(self, annotator: str, post_token: str) -> str:
        """How far everybody is, and whether they agree."""
        kinds = [
            KindAgreement(name=kind, of_all=agreement(values), of_each=agreement_of_each(values))
            for kind, values in self._desk.values().items()
            if any(values.values())
        ]
        return self._progress.render(
            annotator=annotator,
            post_token=post_token,
            refits=self._refits,
            standings=self._desk.standings(),
            kinds=kinds,
            shared=sum(kind.of_all.questions for kind in kinds),
        )

    def turn(self, annotator: str, refused: FeedbackError | None = None) -> str:
        """What changes from question to question; with a word about an answer that was refused."""
        return self._turn.render(**self._facts(annotator, refused))

    def beside(self, code: str, low: str, high: str) -> str:
        """A step and its neighbours on the ladder.

        Raises:
            FeedbackError: there are no such steps.
        """
        if not {code, low or code, high or code} <= self._desk.questions.keys():
            raise FeedbackError("steps are named by their codes", got=f"{code!r:.40}", fix="reload the page")
        return self._shown.render(view=self._beside(low, code, high))

    def prepare(self, annotator: str) -> None:
        """Make ready what will be shown next."""
        if code := self._desk.following(annotator):
            self._view(code)

    def _facts(self, annotator: str, refused: FeedbackError | None = None) -> dict[str, object]:
        turn = self._desk.turn(annotator)
        view: View | None = self._view(turn.code) if turn.code else None
        place, around = len(turn.rungs) // 2, ("", *turn.rungs, "")
        if turn.code and turn.rungs:
            view = self._beside(around[place], turn.code, around[place + 1])
        return {
            "turn": turn,
            "view": view,
            "anchors": self._anchors(annotator, turn) if view is not None and view.kind == "rating" else [],
            "place": place,
            "rungs": [self._rung(code) for code in turn.rungs],
            "fitted": self._refits.last if self._refits is not None else None,
            "time_left": _in_words(turn.minutes),
            "notice": f"Not stored: {refused.rule} (here: {refused.got})." if refused is not None else "",
        }

    def _anchors(self, annotator: str, turn: Turn) -> list[tuple[str, View]]:
        """Steps that show what low and high mean: the examples, and the annotator's own extremes."""
        words = self._desk.words(annotator)
        own = [(f"you gave {words[code]}", self._view(code)) for code in (turn.low, turn.high) if code]
        return [*self._examples, *own]

    def _is_pictured(self, digest: str) -> bool:
        return self._pictures.are_coming or self._pictures.sheet(digest) is not None


def _by_group(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    return [(heading, [*members]) for heading, members in groupby(rows, key=lambda row: row.group)]


def _alpha(with_others: Agreement | None) -> str:
    if with_others is None or not with_others.questions:
        return "–"
    value = "–" if with_others.alpha is None else f"{with_others.alpha:.2f}"
    return f"{value} of {with_others.questions}"


def _in_words(minutes: float | None) -> str:
    if minutes is None:
        return ""
    return "less than a minute" if minutes < 1 else f"about {minutes:.0f} min"
