"""People as they are: each habit has the effect that it states, and a question has one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from scipy.stats import binomtest

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers import (
    Answers,
    FallibleTeacher,
    Habits,
    PreferenceQuestions,
    RatingQuestions,
    ScriptedTeacher,
)
from rmgym.feedback.teachers.contract import TeacherContract
from rmgym.feedback.teachers.habits import wrong_chances
from rmgym.text import TextBatch
from rmgym.transitions import Transitions

N = 4000
"""Questions of a statistical test; a share of them is known to about 0.02."""


def steps(rewards: npt.NDArray[np.floating]) -> Transitions:
    size = len(rewards)
    return Transitions.from_arrays(
        rewards[:, None],
        np.zeros(size),
        rewards[:, None],
        np.zeros(size, bool),
        np.zeros(size, bool),
        true_reward=rewards,
        episode=np.zeros(size),
        step=np.arange(size),
    )


def texts(size: int, seed: int = 0) -> TextBatch:
    """Each its own: a number that says nothing of the reward."""
    return TextBatch(
        templates=("At {:.6f}.",),
        template_index=np.zeros(size, np.int32),
        numbers=np.random.default_rng(seed).normal(size=size).round(6),
        offsets=np.arange(size + 1, dtype=np.int64),
        card_hash="cafe",
    )


def ratings(count: int = N, **habits: Any) -> tuple[npt.NDArray[np.float64], RatingQuestions, Answers]:
    """Levels 1 to 10 of rewards that are spread evenly: exact ones, the questions, and what a person says."""
    rewards = np.random.default_rng(1).permutation(np.linspace(0, 10, count, endpoint=False))
    asked = RatingQuestions(transitions=steps(rewards), texts=texts(count), rows=np.arange(count))
    teacher = FallibleTeacher(teacher=ScriptedTeacher(levels=10, cuts=tuple(range(1, 10))), habits=Habits(**habits))
    return np.floor(rewards) + 1, asked, teacher.rate(asked)


def comparisons(
    gaps: npt.NDArray[np.float64], length: int = 1, **habits: Any
) -> tuple[PreferenceQuestions, npt.NDArray[np.float32]]:
    """Pairs of segments whose first steps differ by so much; the others are 0."""
    rewards = np.zeros((len(gaps), 2, length))
    rewards[:, 0, 0] = gaps
    flat = rewards.reshape(-1)
    pairs = np.arange(len(gaps))[:, None] * 2 * length + np.array([0, length])
    asked = PreferenceQuestions(transitions=steps(flat), texts=texts(len(flat)), pairs=pairs, length=length)
    return asked, FallibleTeacher(habits=Habits(**habits)).compare(asked).values


def is_share(hits: npt.NDArray[np.bool_], share: float) -> bool:
    """Whether so many hits are what this share gives, at the hundredth of a percent."""
    return bool(binomtest(int(hits.sum()), len(hits), share).pvalue > 1e-4)


class TestPerson(TeacherContract):
    def make_teacher(self) -> FallibleTeacher:
        habits = Habits(rationality=1, myopia=0.9, mistakes=0.2, skips=0.1, later=0.1, ties=0.01, drift=2)
        return FallibleTeacher(teacher=ScriptedTeacher(levels=6), habits=habits, seed=3)


class TestOwnScale(TeacherContract):
    def make_teacher(self) -> FallibleTeacher:
        return FallibleTeacher(habits=Habits(own_scale=True, clustered=True, mistakes=0.3, adversarial=True))


class TestExact(TeacherContract):
    def make_teacher(self) -> FallibleTeacher:
        return FallibleTeacher(habits=Habits(skips=0.2))


def test_without_habits_the_answers_are_the_scripted_ones() -> None:
    contract = TestPerson()
    for levels in (None, 6):
        scripted = ScriptedTeacher(levels=levels)
        person = FallibleTeacher(teacher=scripted)
        rated, compared = contract.rating_questions(), contract.preference_questions()
        assert person.rate(rated).values.tolist() == scripted.rate(rated).values.tolist()
        assert person.compare(compared).values.tolist() == scripted.compare(compared).values.tolist()
    assert person.source == "fallible:reward"


@pytest.mark.parametrize("rationality", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("gap", [0.3, 2.0])
def test_the_better_one_wins_as_often_as_boltzmann_says(rationality: float, gap: float) -> None:
    sides = np.random.default_rng(0).choice([-1.0, 1.0], N)
    _, choice = comparisons(gap * sides, rationality=rationality)
    assert is_share((choice == 1) == (sides > 0), float(expit(rationality * gap)))
    _, exact = comparisons(gap * sides)
    assert ((exact == 1) == (sides > 0)).all()


def test_equal_segments_are_tied_however_irrational() -> None:
    _, choice = comparisons(np.repeat([0.0, 0.4, 0.6, -0.6], 50), rationality=0.1, ties=0.5)
    assert (choice[:100] == 0.5).all()
    assert not (choice[100:] == 0.5).any()


def test_the_short_sighted_go_by_the_end_of_a_segment() -> None:
    gaps = np.ones(50)
    asked, _ = comparisons(gaps, length=5)
    reward = asked.transitions.true_reward.copy()
    reward[asked.pairs[:, 1] + 4] = 0.9  # the right one is better at its end, by less
    asked = replace(asked, transitions=replace(asked.transitions, true_reward=reward))
    for myopia, left in ((1.0, 1), (0.98, 1), (0.97, 0), (0.0, 0)):  # 0.98 ** 4 = 0.92, 0.97 ** 4 = 0.89
        chosen = FallibleTeacher(habits=Habits(myopia=myopia)).compare(asked).values
        assert (chosen == left).all()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_so_many_answers_are_wrong(share: float) -> None:
    _, choice = comparisons(np.ones(N), mistakes=share)
    assert is_share(choice == 0, share)
    exact, _, rated = ratings(mistakes=share)
    wrong = rated.values != exact
    assert is_share(wrong, share)
    off, level = rated.values[wrong], exact[wrong]
    for other in range(1, 11):  # evenly one of the other levels
        assert is_share(off[level != other] == other, 1 / 9)


def test_clustered_mistakes_are_made_in_half_of_the_states_and_nowhere_else() -> None:
    exact, asked, always = ratings(mistakes=0.5, clustered=True)
    here = always.values != exact  # all answers there are wrong
    assert 0.4 < here.mean() < 0.6
    borders = (np.diff(here[np.argsort(asked.texts.numbers)]) != 0).sum()
    assert 0 < borders < N / 50, "regions, not points"
    _, _, rated = ratings(mistakes=0.2, clustered=True)
    wrong = rated.values != exact
    assert not wrong[~here].any()
    assert is_share(wrong[here], 0.4)
    _, choice = comparisons(np.ones(N), mistakes=0.5, clustered=True)
    here = choice == 0
    assert 0.4 < here.mean() < 0.6
    _, choice = comparisons(np.ones(N), mistakes=0.2, clustered=True)
    assert not (choice == 0)[~here].any()
    assert is_share((choice == 0)[here], 0.4)


def test_where_mistakes_cluster_does_not_depend_on_what_else_was_collected() -> None:
    _, asked, rated = ratings(400, mistakes=0.3, clustered=True)
    kept = np.argsort(asked.texts.numbers)[300:]  # steps of one end alone
    some = RatingQuestions(
        transitions=asked.transitions[kept], texts=asked.texts[kept], rows=np.arange(100)[::-1].copy()
    )
    teacher = FallibleTeacher(
        teacher=ScriptedTeacher(levels=10, cuts=tuple(range(1, 10))), habits=Habits(mistakes=0.3, clustered=True)
    )
    assert teacher.rate(some).values.tolist() == rated.values[kept[::-1]].tolist()


def test_mistakes_cluster_by_words_where_there_are_no_numbers() -> None:
    words = TextBatch.from_strings([f"the {name} door" for name in "abcdefghijklmnopqrstuvwxyz"])
    spans = [np.array([i]) for i in range(26)]
    chances = np.array([wrong_chances(Habits(mistakes=0.2, clustered=True), words, spans, seed) for seed in range(40)])
    assert set(chances.ravel().tolist()) == {0.0, 0.4}
    assert is_share(chances.ravel() > 0, 0.5)


def test_some_are_skipped_and_some_left_for_later() -> None:
    _, _, rated = ratings(skips=0.1, later=0.2)
    assert rated.skipped is not None
    assert is_share(rated.skipped, 0.1)
    assert is_share(~rated.answered & ~rated.skipped, 0.2)


def test_an_adversary_wants_the_opposite() -> None:
    exact, _, rated = ratings(200, adversarial=True)
    assert rated.values.tolist() == (11 - exact).tolist()
    assert (comparisons(np.ones(50), adversarial=True)[1] == 0).all()


def test_ratings_drift_with_each_answer() -> None:
    exact, asked, rated = ratings(drift=0.05)  # two levels over 4,000
    low = exact < 8
    rise = rated.values[low] - exact[low]
    assert rise.mean() == pytest.approx(1.0, abs=0.05)
    late = replace(asked, earlier=N)
    teacher = FallibleTeacher(teacher=ScriptedTeacher(levels=10, cuts=tuple(range(1, 10))), habits=Habits(drift=0.05))
    assert (teacher.rate(late).values[exact < 6] - exact[exact < 6]).mean() == pytest.approx(3.0, abs=0.05)


def test_everyone_has_a_scale_of_their_own_that_grows() -> None:
    _, asked, _ = ratings(400)
    counts = list[int]()
    for seed in range(60):
        teacher = FallibleTeacher(habits=Habits(own_scale=True), seed=seed)
        rated = teacher.rate(asked)
        counts.append(int(rated.values.max()))
        assert rated.levels == 9
        assert rated.values.min() == 1
        assert (np.diff(rated.values[np.argsort(asked.transitions.true_reward)]) >= 0).all()
        better = replace(asked, transitions=steps(asked.transitions.true_reward + 6), cuts=rated.cuts, earlier=400)
        again = teacher.rate(better)
        assert again.cuts == rated.cuts
        assert again.values.max() == 9 if counts[-1] > 5 else again.values.max() > counts[-1]
    assert set(counts) == {4, 5, 6, 7, 8, 9}
    assert np.mean(counts) == pytest.approx(6.5, abs=0.7)
    others = [FallibleTeacher(habits=Habits(own_scale=True), seed=seed).rate(asked).cuts for seed in (0, 1)]
    assert others[0] != others[1]


def test_a_question_has_one_answer_whatever_is_asked_with_it_and_whichever_side_is_left() -> None:
    habits: dict[str, Any] = {"rationality": 0.5, "mistakes": 0.2, "skips": 0.2}
    asked, choice = comparisons(np.random.default_rng(0).normal(size=300), **habits)
    teacher = FallibleTeacher(habits=Habits(**habits))
    some = replace(asked, pairs=asked.pairs[250:40:-1])
    assert np.array_equal(teacher.compare(some).values, choice[250:40:-1], equal_nan=True)
    turned = replace(asked, pairs=asked.pairs[:, ::-1])
    assert np.array_equal(teacher.compare(turned).values, 1 - choice, equal_nan=True)
    another = FallibleTeacher(habits=Habits(**habits), seed=1).compare(asked).values
    assert (another != choice).sum() > 60
    _, rated, given = ratings(300, mistakes=0.3, skips=0.1)
    less = replace(rated, rows=rated.rows[100:20:-1])
    person = FallibleTeacher(
        teacher=ScriptedTeacher(levels=10, cuts=tuple(range(1, 10))), habits=Habits(mistakes=0.3, skips=0.1)
    )
    assert np.array_equal(person.rate(less).values, given.values[100:20:-1], equal_nan=True)


def test_habits_that_change_nothing_are_named() -> None:
    habits = Habits(rationality=2, myopia=0.9, ties=1, drift=1, own_scale=True, mistakes=0.1, skips=0.1)
    assert habits.without_effect(rated=True, compared=9) == []
    assert habits.without_effect(rated=True, compared=0) == ["rationality", "ties", "myopia"]
    assert habits.without_effect(rated=False, compared=9) == ["drift", "own_scale"]
    assert habits.without_effect(rated=False, compared=1) == ["drift", "own_scale", "myopia"]
    assert Habits(mistakes=0.1).without_effect(rated=True, compared=0) == []


@pytest.mark.parametrize("own_scale", [True, False])
def test_one_of_several_may_find_all_steps_alike_and_has_a_scale_for_others(own_scale: bool) -> None:
    teacher = FallibleTeacher(teacher=ScriptedTeacher(levels=6), habits=Habits(own_scale=own_scale), seed=2)
    reward = np.repeat([0.0, 1.0], [30, 10])
    alike = RatingQuestions(transitions=steps(reward), texts=texts(40), rows=np.arange(5), shared=True)
    rated = teacher.rate(alike)
    assert (rated.values == 1).all()
    further = replace(alike, rows=np.arange(30, 40), cuts=rated.cuts, earlier=5)
    assert teacher.rate(further).values.min() > 1, "the scale is for all steps that were collected"
    flat = replace(alike, transitions=steps(np.full(40, 3.0)))
    middle = teacher.rate(flat)
    assert len(set(middle.values.tolist())) == 1
    assert len(set(middle.cuts)) == len(middle.cuts), "levels that later steps can reach"
    with pytest.raises(FeedbackError, match="ratings differ"):
        teacher.rate(replace(alike, shared=False))


def test_what_cannot_be_is_refused() -> None:
    for wrong in (
        {"rationality": -1},
        {"myopia": 1.1},
        {"mistakes": 2},
        {"skips": 0.6, "later": 0.5},
        {"drift": np.nan},
    ):
        with pytest.raises(FeedbackError, match=next(reversed(wrong))):
            Habits(**wrong)
    with pytest.raises(FeedbackError, match=r"from 0 to 0\.5"):
        Habits(mistakes=0.6, clustered=True)
    with pytest.raises(FeedbackError, match="where mistakes are made"):
        Habits(clustered=True)
    asked = TestPerson().rating_questions()
    with pytest.raises(FeedbackError, match="whose width two do not tell"):
        FallibleTeacher(teacher=ScriptedTeacher(levels=2), habits=Habits(drift=1)).rate(asked)
    with pytest.raises(FeedbackError, match="mistakes and drift of ratings are of levels"):
        FallibleTeacher(habits=Habits(mistakes=0.1)).rate(asked)
    constant = replace(asked, transitions=replace(asked.transitions, true_reward=np.ones(24, np.float32)))
    with pytest.raises(FeedbackError, match="ratings differ"):
        FallibleTeacher(habits=Habits(own_scale=True)).rate(constant)
    with pytest.raises(FeedbackError, match="all tied"):
        comparisons(np.ones(5), ties=2)
