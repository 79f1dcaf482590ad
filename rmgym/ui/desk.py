"""Who is asked what next: one question for one person at a time, and everything that was answered on the disk first.

What is remembered here can be read from the label database again: a page that was killed goes on where it was.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Lock

from rmgym.errors import AnsweredError, FeedbackError
from rmgym.feedback.agreement import Values
from rmgym.feedback.exchange import export_labels
from rmgym.feedback.questionnaire import code_of
from rmgym.feedback.questions import Question, segment_digest
from rmgym.feedback.scales import Scale, check_scales
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.person import HUMAN
from rmgym.ui.replies import SIDES, SKIP, UNSURE, row_of, word_of
from rmgym.ui.turns import Standing, Turn

_PATIENCE = 900.0
"""Seconds for which a question that somebody sees is given to nobody else."""
_LONGEST = 120.0
"""Seconds that an answer counts for at most: longer ones were breaks."""
_RECENT = 20
"""Answers whose median time says how long the others will take."""


class Desk:
    """Hands out questions and takes answers; may be shared by threads, and writes to the database alone.

    Every annotator has a share of the questions of their own, every n-th of n annotators, and helps with the others'
    when it is done. No question goes to two of them, but those of the overlap, which go to all. Who skips one leaves it
    to others.

    Args:
        store: where the questions are, and where answers go.
        annotators: who may answer.
        levels: ratings are 1 to ``levels``; who has rated before keeps the levels of then.
        overlap: share of the questions that all annotators answer, evenly spread.
        clock: seconds.

    Raises:
        FeedbackError: an annotator has answered in another way before, or the overlap is no share.
    """

    def __init__(
        self,
        store: LabelStore,
        annotators: Sequence[str],
        *,
        levels: int,
        overlap: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= overlap <= 1:
            raise FeedbackError("the overlap is a share of the questions", got=overlap, fix="pass 0 to 1")
        self._store, self._annotators, self._clock, self._lock = store, tuple(annotators), clock, Lock()
        self._levels = {name: _levels_of(store, name, levels) for name in annotators}
        self.questions = {code_in_tables(question): question for question in store.questions() if self._asks(question)}
        self._codes = {question.id: code for code, question in self.questions.items()}
        self._place = {code: i for i, code in enumerate(self.questions)}
        self._order = [*self.questions]
        self._shared = {code for code, i in self._place.items() if int((i + 1) * overlap) > int(i * overlap)}
        self._words = {name: self._answered(name) for name in annotators}
        self._owners = {code: set[str]() for code in self.questions}
        for name, words in self._words.items():
            for code, word in words.items():
                self._note(name, code, word)
        self._shown = dict[str, tuple[str, float]]()
        self._seconds = {name: deque[float](maxlen=_RECENT) for name in annotators}

    def turn(self, annotator: str) -> Turn:
        """The question that an annotator is to answer, the same until they have."""
        with self._lock:
            waiting, words = self._waiting(annotator), self._words[annotator]
            code = self._shown.get(annotator, ("", 0.0))[0]
            if code not in waiting:
                code = waiting[0] if waiting else ""
                self._shown[annotator] = code, self._clock()
            seconds = [second for each in self._seconds.values() for second in each]
            low, high = self._anchors(words)
            return Turn(
                code=code,
                question=self.questions.get(code),
                last=next(reversed(words), ""),
                done=len(words),
                left=len(waiting),
                minutes=median(seconds) * len(waiting) / len(self._annotators) / 60 if seconds else None,
                levels=self._levels[annotator],
                low=low,
                high=high,
                rungs=self._rungs_of(annotator),
            )

    def words(self, annotator: str) -> Mapping[str, str]:
        """What an annotator has answered, by the codes of the questions, oldest first."""
        with self._lock:
            return dict(self._words[annotator])

    def standings(self) -> list[Standing]:
        """How far everybody is."""
        with self._lock:
            each = {name: [*words.values()] for name, words in self._words.items()}
            return [
                Standing(
                    annotator=name,
                    answered=len(words) - words.count(UNSURE) - words.count(SKIP),
                    unsure=words.count(UNSURE),
                    skipped=words.count(SKIP),
                    left=len(self._waiting(name)),
                )
                for name, words in each.items()
            ]

    @property
    def answered(self) -> int:
        """How many answers there are that say something."""
        with self._lock:
            return sum(word not in (SKIP, UNSURE) for words in self._words.values() for word in words.values())

    def values(self) -> dict[str, Values]:
        """What everybody has answered as numbers from 0 to 1, by the kind of the questions."""
        with self._lock:
            return {
                kind: {
                    name: {
                        code: _share(word, kind, self._levels[name])
                        for code, word in words.items()
                        if word not in (UNSURE, SKIP) and self.questions[code].kind == kind
                    }
                    for name, words in self._words.items()
                }
                for kind in ("rating", "preference")
            }

    def reorder(self, queries: Sequence[int]) -> None:
        """Ask some questions, named by their ids, in this order, each where one of them stood; shares stay."""
        with self._lock:
            named = [self._codes[query] for query in queries if query in self._codes]
            turn, moved = iter(named), {*named}
            self._order = [next(turn) if code in moved else code for code in self._order]

    def export(self) -> bytes:
        """All answers of the database with their texts, as CSV.

        Raises:
            FeedbackError: there are none.
        """
        with TemporaryDirectory() as folder:
            return export_labels(self._store, Path(folder, "answers.csv"), content="answers").path.read_bytes()

    def following(self, annotator: str) -> str:
        """The question that would come after the one that they see; empty where there is none."""
        with self._lock:
            shown = self._shown.get(annotator, ("", 0.0))[0]
            return next((code for code in self._waiting(annotator) if code != shown), "")

    def answer(self, annotator: str, code: str, word: str) -> None:
        """Record an answer; it is on the disk when this returns. The same answer sent again changes nothing.

        Raises:
            FeedbackError: there is no such question, or the word does not fit it.
            AnsweredError: they have answered it otherwise before, or somebody else was quicker.
        """
        self._question(code)
        with self._lock:
            words = self._words[annotator]
            if code in words:
                if words[code] == word:
                    return
                fix = "go on with the next one; to change that answer, take it back"
                before = "another place" if ":" in words[code] else words[code]
                raise AnsweredError("a question is answered once", got=f"{before} before", fix=fix)
            if word != SKIP and self._is_taken(code, annotator):
                fix = "go on with the next one"
                raise AnsweredError("a question goes to one person", got="somebody else's answer", fix=fix)
            self._record(annotator, code, word)
            words[code] = word
            self._note(annotator, code, word)
            shown, since = self._shown.pop(annotator, ("", 0.0))
            if shown == code:
                self._seconds[annotator].append(min(self._clock() - since, _LONGEST))

    def undo(self, annotator: str, code: str) -> None:
        """Take back an annotator's last answer, and show its question again; done twice, it is done once.

        Raises:
            FeedbackError: there is no such question.
            AnsweredError: it is not their last answer.
        """
        self._question(code)
        with self._lock:
            words = self._words[annotator]
            if code in words:
                if code != next(reversed(words)):
                    fix = "take back the later ones first"
                    raise AnsweredError("the last answer is taken back", got="an earlier one", fix=fix)
                self._withdraw(annotator, code)
                del words[code]
                self._owners[code].discard(annotator)
            self._shown[annotator] = code, self._clock()

    def _asks(self, question: Question) -> bool:
        """Whether a question of the database is asked here."""
        del question
        return True

    def _answered(self, annotator: str) -> dict[str, str]:
        """What an annotator has answered, as it is read from the database."""
        codes = self._codes
        return {codes[row.query]: word_of(row) for row in self._store.answers(annotator) if row.query in codes}

    def _record(self, annotator: str, code: str, word: str) -> None:
        """Put an answer into the database.

        Raises:
            FeedbackError: the word does not fit the question.
        """
        question = self.questions[code]
        self._store.record([row_of(word, question.kind, question.id, annotator, self._levels[annotator])])

    def _withdraw(self, annotator: str, code: str) -> None:
        """Take an annotator's last answer out of the database."""
        self._store.undo(annotator, self.questions[code].id)

    def _rungs_of(self, annotator: str) -> tuple[str, ...]:
        """The annotator's ladder."""
        del annotator
        return ()

    def _question(self, code: str) -> Question:
        if code not in self.questions:
            raise FeedbackError("an answer belongs to a question", got=f"{code!r:.40}", fix="reload the page")
        return self.questions[code]

    def _waiting(self, annotator: str) -> list[str]:
        """What is open to an annotator: their share and what goes to all in order, then the others' from behind."""
        words, mine = self._words[annotator], self._annotators.index(annotator)
        now = self._clock()
        seen = {code for who, (code, since) in self._shown.items() if who != annotator and now - since < _PATIENCE}
        own, others = list[str](), list[str]()
        for code in self._order:
            if code in words:
                continue
            if code in self._shared:
                own.append(code)
            elif code not in seen and not self._is_taken(code, annotator):
                (own if self._place[code] % len(self._annotators) == mine else others).append(code)
        return own + others[::-1]

    def _is_taken(self, code: str, annotator: str) -> bool:
        """Whether somebody else has answered what goes to one person."""
        return code not in self._shared and bool(self._owners[code] - {annotator})

    def _note(self, annotator: str, code: str, word: str) -> None:
        """Remember that somebody has answered."""
        if word != SKIP:
            self._owners[code].add(annotator)

    def _anchors(self, words: dict[str, str]) -> tuple[str, str]:
        """The steps with the lowest and the highest of some ratings."""
        rated = {code: int(word) for code, word in words.items() if word.isdecimal()}
        rated = {code: level for code, level in rated.items() if self.questions[code].kind == "rating"}
        low, high = (min(rated, key=rated.__getitem__), max(rated, key=rated.__getitem__)) if rated else ("", "")
        return (low, high) if low and rated[low] < rated[high] else ("", "")


def _share(word: str, kind: str, levels: int) -> float:
    """An answer as a number from 0 to 1."""
    return (float(word) - 1) / (levels - 1) if kind == "rating" else float(SIDES.get(word, word))


def code_in_tables(question: Question) -> str:
    """The code of a question."""
    right = None if question.right is None else segment_digest(question.right)
    return code_of(question.kind, (segment_digest(question.left), right))


def _levels_of(store: LabelStore, annotator: str, levels: int) -> int:
    """The levels that an annotator rates on: those of their earlier ratings, if there are any.

    Raises:
        FeedbackError: their earlier answers are no person's, or of more levels than there are keys.
    """
    scales = store.scales(annotator)
    kept = next((scale.levels for scale in scales if scale.levels > 0), levels)
    check_scales(annotator, {*scales, Scale(HUMAN, kept)})
    if not 2 <= kept <= 10:
        fix = "pass --levels 10; who rated on more before goes on in the terminal, or takes another name"
        raise FeedbackError("the page has keys for 2 to 10 levels", got=f"{annotator}: {kept}", fix=fix)
    return kept
