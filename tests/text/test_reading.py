"""A step's text, taken apart again for a person."""

import gymnasium as gym
import numpy as np
import pytest

from rmgym.cards import find_env_card
from rmgym.environments.collect import collect
from rmgym.text import textualizer
from rmgym.text.reading import StepReader


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1", "Acrobot-v1", "MountainCar-v0", "FrozenLake-v1"])
def test_every_value_of_a_real_step_is_found(env_id, language):
    steps = collect(env_id, 30, progress=False)
    with gym.make(env_id) as env:
        say = textualizer(env, language=language)
    batch = say.batch(steps)
    reader = StepReader(say.card, language)
    for i, text in enumerate(batch.strings()):
        step = reader.read(text)
        assert step is not None
        assert (
            len(step.state) == len(step.next_state) == sum(f.shown for f in [*say.card.observation, *say.card.derived])
        )
        assert len(step.action) == len(say.card.action)
        shown = [v for part in (step.state, step.action, step.next_state) for v in part.values()]
        numbers = [float(v) for v in shown if v.lstrip("-").replace(".", "").isdigit()]
        np.testing.assert_allclose(numbers, batch[[i]].numbers, rtol=1e-5)
        assert (step.ending != "") == bool(steps.terminated[i] or steps.truncated[i])
        assert step.task
        assert "{" not in step.task


def test_text_of_another_form_is_left_alone():
    assert StepReader(find_env_card("Pendulum-v1"), "en").read("State: warm Action: open the window") is None
    assert StepReader(None, "en").read("Task: t State: nothing. Action: none. Next state: nothing. The end.") is None


def test_a_value_may_hold_the_separator():
    step = StepReader(None, "en").read(
        "Task: t State: mood: good, calm. Action: move: stay. Next state: mood: bad. The episode terminated here."
    )
    assert step.state == {"mood": "good, calm"}
    assert step.next_state == {"mood": "bad"}
    assert step.ending == "The episode terminated here"


def test_parts_are_as_short_as_can_be_and_the_task_is_as_long():
    text = "Task: t State: a: 1. State: b: 2. Action: c: 3. Action: d: 4. Next state: b: 5. Next state: e: 6. The end.."
    step = StepReader(None, "en").read(text)
    assert step.task == "t State: a: 1."
    assert (step.state, step.action) == ({"b": "2"}, {"c: 3. Action: d": "4"})
    assert (step.next_state, step.ending) == ({"b": "5"}, "Next state: e: 6. The end.")


@pytest.mark.parametrize(
    "text",
    ["State: warm. Action: open. " * 50_000, "Task: t " + "State: a: 1. Action: b: 2. Next state: a: 3. " * 50_000],
)
def test_a_long_text_of_another_form_is_read_in_a_moment(text):
    """Tried out in every combination, 80 repetitions already took a quarter of a minute."""
    assert StepReader(None, "en").read(text) is None
