"""What a person is shown of a step: short ones as a table, long ones in groups, every value of the text in both."""

from __future__ import annotations

import re

import pytest
from rich.console import Console, RenderableType

from rmgym.cli.step_views import segment_view, step_view
from rmgym.environments.collect import collect
from rmgym.text import textualizer
from rmgym.text.batch import TextBatch
from rmgym.text.reading import StepReader


def shown(view: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(view)
    return [line.rstrip() for line in capture.get().splitlines()]


def numbers(lines: list[str]) -> list[str]:
    return sorted(re.findall(r"-?\d+\.\d+", "\n".join(lines)))


def texts_of(env_id: str, language: str = "en", steps: int = 12) -> tuple[TextBatch, StepReader]:
    say = textualizer(env_id, language=language)
    return say.batch(collect(env_id, steps, progress=False)), StepReader(say.card, language)


def test_a_short_step_is_one_table() -> None:
    texts, reader = texts_of("Pendulum-v1")
    speed, angle, torque, then_speed, then_angle = re.findall(r"-?\d+\.\d+", texts.strings()[3])
    assert [line.split() for line in shown(step_view(texts[[3]], reader), 80)] == [
        ["state", "next", "state"],
        ["angular", "velocity", "in", "rad/s", speed, then_speed],
        ["angle", "from", "upright", "in", "rad", angle, then_angle],
        ["action", "·", "torque", "in", "N", "m:", torque],
    ]


@pytest.mark.parametrize(("width", "abreast"), [(80, 1), (120, 2)])
def test_a_long_step_stands_in_groups_with_before_and_after_side_by_side(width: int, abreast: int) -> None:
    texts, reader = texts_of("Ant-v5")
    lines = shown(step_view(texts[[5]], reader), width)
    assert numbers(lines) == numbers(texts[[5]].strings())
    headings = [re.findall(r"([a-z ]+?)  +state  next state", line) for line in lines if "next state" in line]
    found = [heading.strip() for line in headings for heading in line]
    assert found == ["torso", "front left", "front right", "back left", "back right"]
    assert max(map(len, headings)) == abreast
    step = reader.read(texts.strings()[5])
    assert step is not None
    name = "front left hip speed in rad/s"
    row = next(line for line in lines if line.strip().startswith("hip speed") or "  hip speed" in line)
    assert re.search(rf"hip speed in rad/s +{re.escape(step.state[name])} +{re.escape(step.next_state[name])}", row)


def test_a_long_action_stands_in_groups_too() -> None:
    texts, reader = texts_of("Humanoid-v5", "zh", steps=3)
    lines = shown(step_view(texts[[1]], reader), 100)
    assert numbers(lines) == numbers(texts[[1]].strings())
    assert [line.split() for line in lines if "行动" in line] == [
        ["腰部", "行动", "右髋", "行动", "行动", "左髋", "行动"],
        ["右肩", "行动", "左肩", "行动"],
    ]


def test_a_segment_of_long_states_has_its_steps_side_by_side() -> None:
    texts, reader = texts_of("Ant-v5")
    lines = shown(segment_view(texts[2:10], reader), 100)
    assert [line.split() for line in lines if line and not re.search("[a-z]", line)] == [
        ["1", "2", "3", "4", "5", "6"],
        ["7", "8", "→"],
    ]
    steps = [step for step in map(reader.read, texts[2:10].strings()) if step is not None]
    heights = [step.state["torso height in m"] for step in steps] + [steps[-1].next_state["torso height in m"]]
    rows = [line.split()[3:] for line in lines if line.startswith("  height in m")]
    assert rows == [heights[:6], heights[6:]]
    torques = [line.split()[-2:] for line in lines if line.startswith("  back right ankle relative torque")]
    assert torques[1] == [step.action["back right ankle relative torque"] for step in steps[6:]]


def test_a_segment_of_short_states_is_one_table() -> None:
    texts, reader = texts_of("Pendulum-v1")
    lines = shown(segment_view(texts[:3], reader), 100)
    assert [line.split()[0] for line in lines] == ["angular", "1", "2", "3", "→"]
