"""Who places what next: each step among those that the same person has placed before, as comparisons on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rmgym.errors import AnsweredError, FeedbackError
from rmgym.feedback.agreement import Values
from rmgym.feedback.ladder import beside, places_of
from rmgym.feedback.questions import Question, segment_digest
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.person import HUMAN
from rmgym.feedback.teachers.placing import Placed
from rmgym.ui.clips import PLACEMENT
from rmgym.ui.desk import Desk
from rmgym.ui.replies import SKIP, UNSURE, word_of


class LadderDesk(Desk):
    """Hands out the steps that ratings are asked of, to be placed instead.

    Everybody has a ladder of their own. The first of all steps stands on each from the beginning, and is nobody's
    question: all further ones are placed above or below it. An answer is ``LOW:HIGH``, the codes of the steps between
    which one belongs: of two neighbours, so that a ladder that has changed meanwhile is noticed; blank at either end;
    and twice the same where the step is as good as that one.

    Args:
        store: as that of a :class:`Desk`.
        annotators: the same.
        overlap: the same.
        clock: the same.

    Raises:
        FeedbackError: as there, or there are fewer than two steps.
    """

    def __init__(
        self,
        store: LabelStore,
        annotators: Sequence[str],
        *,
        overlap: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rungs, self._queries = dict[str, list[str]](), dict[str, dict[str, list[int]]]()
        super().__init__(store, annotators, levels=2, overlap=overlap, clock=clock)
        if len(self.questions) < 2:
            raise FeedbackError("a ladder has at least two steps", got=len(self.questions), fix="pass --ratings 40")

    def _asks(self, question: Question) -> bool:
        return question.kind == "rating"

    def _answered(self, annotator: str) -> dict[str, str]:
        """Where an annotator has placed steps, or skipped them; their ladder is kept."""
        code = {segment_digest(question.left): code for code, question in self.questions.items()}
        pairs = {asked.id: asked.key for asked in self._store.asked() if {*asked.key} <= code.keys()}
        given = self._store.answers(annotator)
        compared = [(*pairs[a.query], a.choice) for a in given if a.query in pairs and a.choice is not None]
        order, places = places_of([(low, str(high), choice) for low, high, choice in compared], [*code][:1])
        words, queries = dict[str, str](), dict[str, list[int]]()
        for answer in given:
            step = code[pairs[answer.query][0]] if answer.query in pairs else self._codes.get(answer.query, "")
            place = places.get(pairs[answer.query][0]) if answer.query in pairs else None
            if place is not None:
                words[step] = f"{code.get(place.low, '')}:{code.get(place.high, '')}"
            elif step and answer.skipped:
                words[step] = word_of(answer)
            if step in words:
                queries.setdefault(step, []).append(answer.query)
        self._rungs[annotator], self._queries[annotator] = [code[digest] for digest in order], queries
        return words

    def _waiting(self, annotator: str) -> list[str]:
        first = next(iter(self.questions))
        return [code for code in super()._waiting(annotator) if code != first]

    def _rungs_of(self, annotator: str) -> tuple[str, ...]:
        return tuple(self._rungs[annotator])

    def values(self) -> dict[str, Values]:
        """Where everybody has placed the steps that all have, from 0 to 1: their order on each ladder.

        Who placed fewer than two has no order yet, and is left out.
        """
        with self._lock:
            ladders = {name: heights for name in self._words if len(heights := self._heights(name)) > 1}
            shared = set.intersection(*(set(each) for each in ladders.values())) if ladders else set[str]()
            return {PLACEMENT: {name: _ranks({code: each[code] for code in shared}) for name, each in ladders.items()}}

    def _heights(self, annotator: str) -> dict[str, int]:
        """How high on somebody's ladder the steps stand that they placed."""
        rungs, heights = self._rungs[annotator], dict[str, int]()
        for code, word in self._words[annotator].items():
            if ":" in word:
                tied = word.partition(":")[0]
                heights[code] = rungs.index(code if code in rungs else tied)
        return heights

    def _record(self, annotator: str, code: str, word: str) -> None:
        rungs, queries = self._rungs[annotator], self._queries[annotator]
        if word in (SKIP, UNSURE):
            super()._record(annotator, code, word)
            queries[code] = [self.questions[code].id]
            return
        placed = _placed(word, rungs)
        others = beside(placed, len(rungs))
        asked = self._store.ask_to_compare(
            self.questions[code].id, [self.questions[rungs[rung]].id for rung, _ in others]
        )
        choices = [choice for _, choice in others]
        self._store.record(
            [
                Answer(query=query, annotator=annotator, source=HUMAN, choice=choice)
                for query, choice in zip(asked, choices, strict=True)
            ]
        )
        queries[code] = asked
        if not placed.tied:
            rungs.insert(placed.above, code)

    def _withdraw(self, annotator: str, code: str) -> None:
        self._store.withdraw(annotator, self._queries[annotator].pop(code))
        if code in self._rungs[annotator]:
            self._rungs[annotator].remove(code)


def _ranks(heights: Mapping[str, int]) -> dict[str, float]:
    """Places in the order of some heights, from 0 to 1; those of one height share a place."""
    order = sorted({*heights.values()})
    return {code: order.index(height) / max(1, len(order) - 1) for code, height in heights.items()}


def _placed(word: str, rungs: Sequence[str]) -> Placed:
    """Where on a ladder an answer says that a step belongs.

    Raises:
        FeedbackError: it says nothing of the kind.
        AnsweredError: there is no such place on the ladder.
    """
    low, colon, high = word.partition(":")
    if not colon or not (low or high):
        fix = f"answer LOW:HIGH, {UNSURE} or {SKIP}"
        raise FeedbackError("a step is placed between two others, or beside one", got=f"{word!r:.40}", fix=fix)
    places = dict(zip(("", *rungs), (*rungs, ""), strict=True))
    if low == high and low in rungs:
        return Placed(rungs.index(low), tied=True)
    if places.get(low) != high:
        fix = "place it again"
        raise AnsweredError("a step is placed between neighbours", got="another ladder than the page showed", fix=fix)
    return Placed(rungs.index(low) + 1 if low else 0)
