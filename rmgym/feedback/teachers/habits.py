"""How people answer, beside what is true: how sharply, how far back they look, how often they are wrong or silent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows
from rmgym.text.batch import TextBatch

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
DRAWS = 6
"""Numbers that are drawn for each question; see :class:`Drawn`."""


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What a teacher who knows the truth makes of it, as people do.

    Most are those of B-Pref (Lee et al. 2021, "B-Pref: Benchmarking Preference-Based Reinforcement Learning",
    https://arxiv.org/abs/2111.03026), whose names for them are in brackets. Nothing that is left out changes an answer.

    Attributes:
        rationality: the log odds that the better segment is preferred, per unit by which its summed value is larger
            (β); 0 prefers by chance, infinity never errs. Segments of equal value are tied whatever it is.
        myopia: discount within a compared segment, from its end: a step ``k`` before the last counts ``myopia ** k``
            (γ); 1 counts all alike.
        mistakes: share of the answers that are wrong (ε): comparisons turned round, and ratings at a level drawn evenly
            from the others.
        skips: share of the questions that are skipped.
        later: share of the questions that are left pending.
        ties: segments whose summed values differ by at most this much are tied (the threshold of "equally preferable").
        clustered: mistakes are all made in some regions of the states, twice as often there: where a wave over the
            numbers of the text, whose lengths and phase are drawn, is above 0 (of a comparison: in the mean of its
            steps), as it is for about half of them. Without numbers, the words decide.
        adversarial: prefers what is worse, and rates from the other end.
        drift: by how many levels ratings rise, evenly, over 100 answers of one teacher.
        own_scale: rates on 4 to 9 levels, a number and edges of its own, and adds levels, up to 9, for what is better
            than anything in the first round (people choose 6 to 7 levels, and extend them midway: arXiv 2601.09236).

    Raises:
        FeedbackError: a value is impossible.
    """

    rationality: float = np.inf
    myopia: float = 1.0
    mistakes: float = 0.0
    skips: float = 0.0
    later: float = 0.0
    ties: float = 0.0
    clustered: bool = False
    adversarial: bool = False
    drift: float = 0.0
    own_scale: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rationality", 0, np.inf),
            ("myopia", 0, 1),
            ("mistakes", 0, 0.5 if self.clustered else 1),
            ("skips", 0, 1),
            ("later", 0, 1 - self.skips),
            ("ties", 0, np.inf),
        ):
            if not low <= (value := getattr(self, name)) <= high:
                got, fix = f"{name}={value}", f"pass {name}={getattr(type(self), name)}, or leave it out"
                raise FeedbackError(f"{name!r} is from {low} to {high:g}", got=got, fix=fix)
        if self.clustered and not self.mistakes:
            fix = "pass mistakes=0.1 too, or leave 'clustered' out"
            raise FeedbackError("'clustered' says where mistakes are made", got="no mistakes", fix=fix)
        if not np.isfinite(self.drift):
            raise FeedbackError("'drift' is a finite number of levels", got=self.drift, fix="leave it out")

    def without_effect(self, *, rated: bool, compared: int) -> list[str]:
        """Names of habits that change no answer to what is asked.

        Args:
            rated: whether steps are rated.
            compared: steps of the segments that are compared, 0 where none are.
        """
        idle = [] if rated else ["drift", "own_scale"]
        idle += [] if compared else ["rationality", "ties"]
        idle += [] if compared > 1 else ["myopia"]
        return [name for name in idle if getattr(self, name) != getattr(Habits, name)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What was drawn for ``N`` questions: by their texts, so that they are answered alike whenever they are asked.

    Attributes:
        chances: from 0 to 1, ``float64 [N, DRAWS]``.
        turned: where a comparison was asked the other way round than it was drawn for, ``bool [N]``: a pair has one
            answer, whichever side is left.
    """

    chances: Floats
    turned: Mask

    @classmethod
    def of(cls, texts: TextBatch, starts: Rows, length: int, seed: int) -> Drawn:
        """Draw for questions.

        Args:
            texts: one per collected step.
            starts: first rows of segments, ``int64 [N, 1]`` to rate, ``[N, 2]`` to compare.
            length: steps per segment.
            seed: whose answers they are.
        """
        rows = np.unique(starts[:, :, None] + np.arange(length))
        string = dict(zip(rows.tolist(), texts[rows].strings(), strict=True))
        sides = [["\n".join(string[i] for i in range(row, row + length)) for row in each] for each in starts.tolist()]
        chances = np.array([_chances("\n\n".join(sorted(each)), seed) for each in sides]).reshape(-1, DRAWS)
        return cls(chances=chances, turned=np.array([each != sorted(each) for each in sides], np.bool_))

    @property
    def place(self) -> npt.NDArray[np.int64]:
        """In which order the questions are answered, ``[N]``: one that does not depend on that of asking."""
        return np.argsort(np.argsort(self.chances[:, 0], kind="stable"), kind="stable").astype(np.int64)


def _chances(question: str, seed: int) -> Floats:
    name = hashlib.sha256(question.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(name[:16])]).random(DRAWS)


def wrong_chances(habits: Habits, texts: TextBatch, spans: Sequence[Rows], seed: int) -> Floats:
    """How likely a mistake is in each answer, ``float64 [N]``: by what it is about and the seed alone.

    Args:
        habits: how often, and whether clustered.
        texts: one per collected step.
        spans: rows of the steps of each question, ``N`` of them.
        seed: whose answers they are; draws where mistakes are made.
    """
    if not habits.clustered:
        return np.full(len(spans), habits.mistakes)
    phase = _phases(texts, seed)
    here = np.array([phase[rows].mean() for rows in spans])
    return np.where(np.cos(here) > 0, 2 * habits.mistakes, 0.0)


def _phases(texts: TextBatch, seed: int) -> Floats:
    """Where each text is on a drawn wave, ``[B]``; numbers of any magnitude move it, as one text tells no range."""
    texts = texts.filled()
    counts = np.diff(texts.offsets)
    which = np.arange(len(texts.numbers)) - np.repeat(texts.offsets[:-1], counts)  # of its text's numbers
    drawn = np.random.default_rng([seed, 3]).random((counts.max(initial=0), 2))
    speed = (1.5 + 1.5 * drawn[:, 0]) * np.where(drawn[:, 1] < 0.5, -1, 1)
    summed = np.bincount(
        np.repeat(np.arange(len(texts)), counts), speed[which] * np.arcsinh(10 * texts.numbers), minlength=len(texts)
    )
    words = np.array([_chances(template, seed)[0] for template in texts.templates])
    return summed + 2 * np.pi * words[texts.template_index]
