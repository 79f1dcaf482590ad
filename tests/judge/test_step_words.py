"""What a judge reads of steps: every change is worked out, and none is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import rmgym
from rmgym.judge.step_words import step_words
from tests.judge.fakes import step


def test_a_step_is_said_with_its_change() -> None:
    words = step_words([step(0.25, before=0.1)])
    assert words.task == "Climb."
    assert words.lines == "- height: 0.100 before, 0.250 after: up by 0.150, farther from 0\n- push: up"


@pytest.mark.parametrize(
    ("before", "after", "said_of_it"),
    [
        (-0.5, -0.25, "up by 0.250, closer to 0"),
        (0.5, -0.5, "down by 1.000"),
        (0.5, 0.5, "before and after, unchanged"),
        (0.1, 0.3, "up by 0.200, farther from 0"),  # not 0.19999999999999998
    ],
)
def test_arithmetic_is_exact(before: float, after: float, said_of_it: str) -> None:
    assert step_words([step(after, before)]).lines.splitlines()[0].endswith(said_of_it)


def test_a_segment_is_said_from_its_beginning_to_its_end() -> None:
    texts = [step(0.5, 0.1), step(0.9, 0.5), step(0.3, 0.9).replace("goes on", "terminated here")]
    assert step_words(texts).lines == (
        "- height: 0.100 before, 0.300 after: up by 0.200, farther from 0; on the way between 0.100 and 0.900\n"
        "- push: up\n- The episode terminated here"
    )


def test_words_and_actions_are_counted() -> None:
    text = "Task: T. State: door: {}. Action: move: {}. Next state: door: {}. The episode goes on."
    lines = step_words([text.format(*x) for x in (("open", "left", "ajar"), ("ajar", "right", "shut"))]).lines
    assert lines == (
        "- door: open before, shut after; on the way ajar\n- move: left (1 of 2 times), right (1 of 2 times)"
    )
    pushes = [text.format("open", push, "open") for push in ("1.0", "-2.0")]
    assert step_words(pushes).lines == "- door: open, before and after\n- move: between -2.0 and 1.0, -0.50 in the mean"


def test_other_texts_are_given_as_they_are() -> None:
    assert step_words(["{0.__class__}", "$task"]).lines == "{0.__class__}\n$task"
    assert step_words([step(0.1), "something else"]).lines.endswith("something else")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1", "FrozenLake-v1"])
def test_real_steps_are_read_in_their_language(env_id: str, language: str) -> None:
    steps = rmgym.collect(env_id, 20, seed=0, progress=False)
    texts = rmgym.textualizer(env_id, language=language).batch(steps).strings()
    for text in texts:
        words = step_words([text])
        assert words.task
        assert words.task in text
        assert words.lines != text


def test_changes_are_those_of_the_numbers() -> None:
    steps = rmgym.collect("CartPole-v1", 50, seed=1, progress=False)
    texts = rmgym.textualizer("CartPole-v1").batch(steps).strings()
    for row in range(50):
        change = float(steps.next_obs[row, 0]) - float(steps.obs[row, 0])
        line = step_words([texts[row]]).lines.splitlines()[0]
        if "unchanged" in line:
            assert abs(change) <= 0.0011
            continue
        direction, by = line.partition(": ")[2].partition("after: ")[2].split(",")[0].split(" by ")
        assert float(by) * {"up": 1, "down": -1}[direction] == pytest.approx(change, abs=0.0011)
        assert np.sign(change) == {"up": 1, "down": -1}[direction]
