"""What is asked about: covering, distinct, nested, and never across an episode's end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.queries import _meetings, select_segments, select_steps
from rmgym.text import TextBatch, textualizer
from rmgym.transitions import Transitions


def blank(lengths):
    """Transitions of episodes of these lengths."""
    size = sum(lengths)
    return Transitions.from_arrays(
        np.zeros((size, 1)),
        np.zeros(size),
        np.zeros((size, 1)),
        episode=np.repeat(np.arange(len(lengths)), lengths),
        step=np.concatenate([np.arange(n) for n in lengths]),
    )


def describe(values):
    return TextBatch.from_strings([f"x is {v:.2f}" for v in values])


@pytest.fixture(scope="module")
def pendulum():
    steps = collect("Pendulum-v1", 1000, reset_every=25, progress=False)
    return steps, textualizer("Pendulum-v1").batch(steps)


def test_each_covering_step_is_the_farthest_from_those_before(pendulum):
    steps, texts = pendulum
    rows = select_steps(steps, texts, 30, seed=4)
    table = texts.numbers.reshape(len(texts), -1).astype(np.float64)
    table = (table - table.mean(0)) / table.std(0)
    for i in range(1, len(rows)):
        gaps = np.linalg.norm(table[:, None] - table[rows[:i]], axis=2).min(1)
        assert gaps[rows[i]] == pytest.approx(gaps.max(), rel=1e-4)


def test_coverage_finds_rare_steps_that_chance_misses():
    values = [*np.linspace(0, 0.5, 500).tolist(), 50.0, -50.0, 100.0]
    steps, texts = blank([503]), describe(values)
    assert {500, 501, 502} <= set(select_steps(steps, texts, 5, seed=0).tolist())


def test_different_words_are_apart():
    texts = TextBatch.from_strings([*(f"x is {i / 100:.2f}" for i in range(100)), "the end at 0.50"])
    for seed in range(4):
        assert 100 in select_steps(blank([101]), texts, 6, seed=seed), "its number alone would never single it out"


def test_texts_with_different_counts_of_numbers_are_covered():
    texts = TextBatch.from_strings(["1 and 2", "1", "none", "5 and 9 and 3", "1 and 2"])
    assert sorted(select_steps(blank([5]), texts, 4).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["coverage", "random"])
@pytest.mark.parametrize("seed", range(4))
def test_steps_of_the_absorbing_state_are_among_the_first(method, seed):
    steps, texts = blank([400]), describe(np.linspace(0, 9, 400))
    steps.absorbing[:] = 0
    steps.absorbing[[17, 230]] = 1
    steps.absorbing[[18, 19, 231]] = 2
    rows = select_steps(steps, texts, 40, method=method, seed=seed)
    assert set(steps.absorbing[rows[:3]].tolist()) == {0, 1, 2} or rows[0] in (17, 18, 19, 230, 231)
    assert {1, 2} <= set(steps.absorbing[rows[:3]].tolist())
    assert len(set(rows.tolist())) == 40
    assert select_steps(steps, texts, 7, method=method, seed=seed).tolist() == rows[:7].tolist()


@pytest.mark.parametrize("method", ["coverage", "random"])
def test_a_segment_with_the_absorbing_state_is_in_the_first_pair_of_its_episodes(method):
    steps, texts = blank([10] * 30), describe(np.linspace(0, 9, 300))
    plain = select_segments(steps, 40, 5, method=method, texts=texts)
    steps.absorbing[[148, 149]] = 1, 2  # the second segment of the fifteenth episode
    for pairs in (10, 40):
        chosen = select_segments(steps, pairs, 5, method=method, texts=texts)
        assert 145 in chosen
        assert len({frozenset(pair) for pair in chosen.tolist()}) == pairs
    assert chosen.tolist() != plain.tolist() or 145 in plain[:10]


def test_whole_numbers_beyond_float32_are_distinct():
    texts = TextBatch.from_strings([f"x is {20_000_000 + i}" for i in range(8)] + ["x is 9000000000000000"])
    assert sorted(select_steps(blank([9]), texts, 9).tolist()) == list(range(9))


@pytest.mark.parametrize("method", ["coverage", "random"])
def test_selections_are_distinct_nested_and_seeded(pendulum, method):
    steps, texts = pendulum
    rows = select_steps(steps, texts, 60, method=method, seed=1)
    strings = texts[rows].strings()
    assert len(set(strings)) == 60
    assert select_steps(steps, texts, 25, method=method, seed=1).tolist() == rows[:25].tolist()
    assert select_steps(steps, texts, 60, method=method, seed=2).tolist() != rows.tolist()
    assert rows.dtype == np.int64


@pytest.mark.parametrize("method", ["coverage", "random"])
def test_equal_texts_are_asked_about_once(method):
    texts = describe([1, 1, 2, 2, 2, 3])
    assert sorted(select_steps(blank([6]), texts, 3, method=method).tolist()) == [0, 2, 5]
    with pytest.raises(FeedbackError, match="at most 3"):
        select_steps(blank([6]), texts, 4, method=method)


def test_bad_questions_about_steps_are_explained():
    steps, texts = blank([6]), describe(range(6))
    with pytest.raises(FeedbackError, match="did you mean 'coverage'"):
        select_steps(steps, texts, 2, method="coverag")
    with pytest.raises(FeedbackError, match="at least one question"):
        select_steps(steps, texts, 0)
    with pytest.raises(FeedbackError, match="one text"):
        select_steps(steps, texts[:3], 2)


@settings(max_examples=30)
@given(st.integers(0, 9))
def test_a_tournament_has_every_pair_once(players):
    met = [frozenset(pair) for turn in range(players + 1) for pair in _meetings(list(range(players)), turn)]
    assert len(met) == len(set(met)) == players * (players - 1) // 2
    if players > 1:
        first = [sorted(pair) for pair in _meetings(list(range(players)), 0)]
        assert sorted(first) == [[i, i + 1] for i in range(0, players - 1, 2)], "at first neighbours meet"


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=30),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(0, 3),
    st.sampled_from(["random", "coverage"]),
)
def test_segments_stay_in_their_episode_and_pairs_are_new(lengths, length, n_pairs, seed, method):
    steps = blank(lengths)
    texts = describe(np.random.default_rng(seed).normal(size=len(steps)))
    refused = None
    try:
        pairs = select_segments(steps, n_pairs, length, method=method, seed=seed, texts=texts)
    except FeedbackError as error:
        refused = error
    segments = sum(n // length for n in lengths)
    if refused is not None:
        assert "fewer pairs" in refused.fix
        assert 2 * n_pairs > segments, "enough for pairs without using a segment twice"
        return
    assert pairs.shape == (n_pairs, 2)
    np.testing.assert_array_equal(steps.episode[pairs], steps.episode[pairs + length - 1])
    assert (steps.step[pairs] % length == 0).all(), "segments do not overlap"
    assert len({frozenset(pair) for pair in pairs.tolist()}) == n_pairs
    assert (pairs[:, 0] != pairs[:, 1]).all()
    shorter = select_segments(steps, 1, length, method=method, seed=seed, texts=texts)
    assert shorter.tolist() == pairs[:1].tolist(), "selections are nested"


def test_no_segment_twice_while_there_are_others():
    pairs = select_segments(blank([25] * 160), 70, 25, seed=0)
    assert len(np.unique(pairs)) == 140


def test_pairs_leave_groups_to_split_by():
    steps = blank([25] * 40)
    pairs = select_segments(steps, 300, 5, seed=0)
    block = {}
    for left, right in steps.episode[pairs].tolist():
        joined = block.get(left, {left}) | block.get(right, {right})
        block.update(dict.fromkeys(joined, joined))
    assert len({frozenset(b) for b in block.values()}) >= 10


def test_sides_are_not_in_order_of_choice():
    pairs = select_segments(blank([2000]), 300, 2, seed=0)
    assert 0.4 < (pairs[:, 0] < pairs[:, 1]).mean() < 0.6


def test_covering_segments_reach_the_rare_one():
    values = np.linspace(0, 1, 400)
    values[200:205] = 100
    pairs = select_segments(blank([20] * 20), 2, 5, method="coverage", seed=3, texts=describe(values))
    assert 200 in pairs


def test_bad_questions_about_segments_are_explained():
    steps = blank([10, 10])
    with pytest.raises(FeedbackError, match="at least one step"):
        select_segments(steps, 1, 0)
    with pytest.raises(FeedbackError, match="2 distinct segments give 1"):
        select_segments(steps, 2, 10)
    with pytest.raises(FeedbackError, match="0 distinct segments give 0"):
        select_segments(steps, 1, 11)
    with pytest.raises(FeedbackError, match="pass texts="):
        select_segments(steps, 1, 5, method="coverage")
