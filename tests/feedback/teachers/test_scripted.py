"""The scripted teacher's labels, recomputed by hand."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.asking import RatingQuestions
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.feedback.teachers.ties import TiedPreferencesWarning
from rmgym.feedback.teachers.values import in_whole_episode, outcome
from rmgym.text import TextBatch
from rmgym.transitions import Transitions
from tests.feedback.asking import compare, rate


def steps(episodes):
    """Transitions of episodes given as ``(rewards, terminated, truncated)``."""
    rewards = [r for rewards, _, _ in episodes for r in rewards]
    last = [i == len(e[0]) - 1 for e in episodes for i in range(len(e[0]))]
    number = [n for n, e in enumerate(episodes) for _ in e[0]]
    size = len(rewards)
    return Transitions.from_arrays(
        np.zeros((size, 1)),
        np.zeros(size),
        np.zeros((size, 1)),
        [end and episodes[n][1] for end, n in zip(last, number, strict=True)],
        [end and episodes[n][2] for end, n in zip(last, number, strict=True)],
        true_reward=rewards,
        episode=number,
        step=[i for e in episodes for i in range(len(e[0]))],
    )


@pytest.mark.parametrize(
    ("rewards", "terminated", "truncated", "expected"),
    [
        ([1, 1, 1], True, False, [0.875, 0.75, 0.5]),  # CartPole: 1 - gamma^n, n steps left
        ([1, 1, 1], False, True, [1, 1, 1]),  # the pole stood until the time limit
        ([1, 1, 1], False, False, [1, 1, 1]),  # cut while collecting: as going on
        ([-1, -1, -1], True, False, [-0.875, -0.75, -0.5]),  # MountainCar reaching the goal
        ([-1, -1, -1], False, True, [-1, -1, -1]),  # and not
        ([-1, -1, 0], True, False, [-0.75, -0.5, 0]),  # Acrobot: the last step costs nothing
        ([0, 0, 1], True, False, [0.125, 0.25, 0.5]),  # FrozenLake: (1 - gamma) gamma^(n - 1)
        ([0, 0, 0], True, False, [0, 0, 0]),  # a hole
        ([0, 4], True, True, [1, 2]),  # terminated at the time limit: nothing follows
    ],
)
def test_outcome_table(rewards, terminated, truncated, expected):
    assert outcome(steps([(rewards, terminated, truncated)]), gamma=0.5).tolist() == expected


episode = st.tuples(
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=40)
@given(st.lists(episode, min_size=1, max_size=4), st.floats(0, 0.95))
def test_outcome_is_the_discounted_sum_with_the_last_reward_for_ever(episodes, gamma):
    expected = []
    for rewards, terminated, _ in episodes:
        for t in range(len(rewards)):
            tail = [] if terminated else [rewards[-1]] * 400  # 0.95^400 is below 1e-8
            expected.append((1 - gamma) * sum(gamma**k * r for k, r in enumerate(rewards[t:] + tail)))
    np.testing.assert_allclose(outcome(steps(episodes), gamma=gamma), expected, atol=1e-6)


def test_outcome_tells_good_from_bad_on_real_cartpole():
    transitions = collect("CartPole-v1", 600, seed=0, progress=False)
    values = outcome(transitions)
    ends = np.flatnonzero(transitions.terminated)
    np.testing.assert_allclose(values[ends], 0.05)
    before = ends[transitions.step[ends] > 10]
    np.testing.assert_allclose(values[before - 9], 1 - 0.95**10)
    cut = transitions.episode == transitions.episode[-1]
    assert in_whole_episode(transitions).tolist() == (~cut).tolist()
    late = transitions[1:]
    first = late.episode == transitions.episode[0]
    assert in_whole_episode(late).tolist() == (~cut[1:] & ~first).tolist()


def test_what_followed_from_steps_of_one_text_is_rated_in_the_mean():
    transitions = steps([([0, 0, 1], True, False), ([0, 0], False, True)])
    texts = TextBatch.from_strings(["start", "door", "goal", "start", "wall"])
    questions = RatingQuestions(transitions=transitions, texts=texts, rows=np.array([0, 3, 1, 2]))
    rated = ScriptedTeacher(target="outcome", gamma=0.5).rate(questions).values
    assert rated.tolist() == [0.0625, 0.0625, 0.25, 0.5]  # the start led to the goal once of two times
    with pytest.raises(FeedbackError, match="differ"):  # of what was rewarded each step says it exactly
        ScriptedTeacher().rate(replace(questions, rows=np.array([0, 3, 1])))


def test_a_prospect_is_what_an_expert_goes_on_to_get():
    transitions = replace(steps([([1, 2, 4], True, False)]), next_obs=np.array([[10.0], [20.0], [40.0]]))
    teacher = ScriptedTeacher(target="prospect", value=lambda obs: obs[:, 0], value_gamma=0.5)
    assert rate(teacher, transitions).tolist() == [6, 12, 4]  # nothing follows after the end
    assert teacher.source == "scripted:prospect(gamma=0.5)"
    gained = replace(transitions, obs=np.array([[3.0], [10.0], [20.0]]))
    assert rate(replace(teacher, target="progress"), gained).tolist() == [3, 2, -16]
    with pytest.raises(FeedbackError, match="prospect is judged by an expert"):
        ScriptedTeacher(target="prospect")


def test_outcome_refuses_pieces_of_episodes():
    whole = steps([([1, 1, 1], True, False), ([1, 1], True, False)])
    for rows in ([0, 2], [1, 2], [0, 1, 2, 4]):
        with pytest.raises(FeedbackError, match="whole episodes"):
            rate(ScriptedTeacher(target="outcome"), whole[rows])


def test_reward_ratings_are_the_true_reward():
    transitions = steps([([3, -1, 2.5], False, True)])
    assert rate(ScriptedTeacher(), transitions).tolist() == [3, -1, 2.5]
    assert rate(ScriptedTeacher(), transitions, np.array([2, 0])).tolist() == [2.5, 3]


@pytest.mark.parametrize(
    ("edges", "expected"),
    [("width", [1, 1, 1, 1, 2, 4]), ("quantile", [1, 1, 2, 3, 4, 4])],
)
def test_levels_by_width_and_by_quantile(edges, expected):
    transitions = steps([([0, 1, 2, 3, 40, 100], False, True)])
    assert rate(ScriptedTeacher(levels=4, edges=edges), transitions).tolist() == expected


@settings(max_examples=40)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=30, unique=True),
    st.integers(2, 12),
    st.sampled_from(["width", "quantile"]),
)
def test_levels_keep_the_order_and_use_both_ends(rewards, levels, edges):
    got = rate(ScriptedTeacher(levels=levels, edges=edges), steps([(rewards, False, True)]))
    assert (np.diff(got[np.argsort(rewards)]) >= 0).all()
    assert set(got) <= set(range(1, levels + 1))
    assert got.max() == levels
    if edges == "width":
        assert got.min() == 1


def test_levels_span_the_rated_steps_only():
    transitions = steps([([0, 1, 2, 1000], False, True)])
    assert rate(ScriptedTeacher(levels=3), transitions, np.array([0, 1, 2])).tolist() == [1, 2, 3]


def test_preferences_compare_sums_of_segments():
    transitions = steps([([1, 2, 3, 4], False, True), ([0, 10, 5, 2], True, False)])
    pairs = np.array([[0, 2], [2, 4], [0, 4], [2, 6]])  # sums 3 7 3 7 against 7 10 10 7
    assert compare(ScriptedTeacher(), transitions, pairs, 2).tolist() == [0, 0, 0, 0.5]
    assert compare(ScriptedTeacher(), transitions, pairs[:, ::-1], 2).tolist() == [1, 1, 1, 0.5]


def test_a_tolerance_makes_ties():
    transitions = steps([([1, 2, 3, 9], False, True)])
    assert compare(ScriptedTeacher(tie_tolerance=1.5), transitions, [[0, 1], [0, 3]], 1).tolist() == [0.5, 0]


def test_many_ties_are_warned_about_and_few_are_not():
    transitions = steps([([1, 1, 1, 2], False, True)])
    with pytest.warns(TiedPreferencesWarning, match="2 of 3"):
        compare(ScriptedTeacher(), transitions, [[0, 1], [1, 2], [0, 3]], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(ScriptedTeacher(), transitions, [[0, 1], [1, 3]], 1)


def test_constant_rewards_are_refused_with_the_way_out():
    transitions = collect("CartPole-v1", 120, progress=False)
    for teacher in (ScriptedTeacher(), ScriptedTeacher(levels=10)):
        with pytest.raises(FeedbackError, match="target='outcome'"):
            rate(teacher, transitions)
    with pytest.raises(FeedbackError, match="target='outcome'"):
        compare(ScriptedTeacher(), transitions, [[0, 20], [10, 30]], 5)
    assert len(set(rate(ScriptedTeacher(target="outcome", levels=5), transitions).tolist())) == 5


def test_outcomes_that_are_all_equal_are_refused():
    with pytest.raises(FeedbackError, match="whole episodes that end differently"):
        rate(ScriptedTeacher(target="outcome"), steps([([-1] * 5, False, True)]))


def test_quantiles_of_nearly_equal_values_are_refused():
    transitions = steps([([0] * 9 + [1], False, True)])
    with pytest.raises(FeedbackError, match="edges='width'"):
        rate(ScriptedTeacher(levels=2, edges="quantile"), transitions)
    assert rate(ScriptedTeacher(levels=2), transitions).tolist() == [1] * 9 + [2]


def test_bad_input_is_explained():
    unknown = Transitions.from_arrays(np.zeros((2, 1)), np.zeros(2), np.zeros((2, 1)))
    with pytest.raises(FeedbackError, match="reads the true reward"):
        rate(ScriptedTeacher(), unknown)
    with pytest.raises(FeedbackError, match="at least one step"):
        rate(ScriptedTeacher(), steps([([1, 2], True, False)]), np.zeros(0, np.int64))
    for wrong, rule in (
        ({"target": "rewards"}, "did you mean 'reward'"),
        ({"edges": "quantiles"}, "did you mean 'quantile'"),
        ({"levels": 1}, "at least 2 levels"),
        ({"gamma": 1.0}, "gamma is in"),
    ):
        with pytest.raises(FeedbackError, match=rule):
            ScriptedTeacher(**wrong)
