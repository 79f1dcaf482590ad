"""What is shown of a question is what its texts say, field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.feedback.questions import Question
from rmgym.text import TextBatch
from rmgym.text.reading import StepReader
from rmgym.ui.clips import Viewer
from tests.ui.labelling import asked, steps_of


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    return asked(tmp_path / "labels.sqlite").questions()


def viewer(questions: list[Question]) -> Viewer:
    _, _, text = steps_of()
    return Viewer(StepReader(text.card, text.language), questions)


def test_a_rated_step_has_its_values_before_and_after(questions: list[Question]) -> None:
    question = questions[0]
    view = viewer(questions).view(question)
    assert view.task == "Keep the pole balanced on the cart and the cart on the track."
    assert [row.name for row in view.rows if not row.is_action] == [
        "cart position in m",
        "cart velocity in m/s",
        "pole angle in rad",
        "pole angular velocity in rad/s",
    ]
    numbers = question.left.numbers.tolist()
    for i, row in enumerate(view.rows[:4]):
        (track,) = row.tracks
        before, after = numbers[i], numbers[4 + i]
        assert tuple(map(float, track.values)) == (before, after)
        assert track.moved == ("rises" if after > before else "falls" if after < before else "stays")
        assert float(row.low) <= min(before, after) <= max(before, after) <= float(row.high)
    assert view.rows[-1].tracks[0].values[0] in ("to the left", "to the right")
    assert view.rows[-1].tracks[0].line == ""


def test_two_segments_stand_beside_each_other(questions: list[Question]) -> None:
    question = questions[-1]
    view = viewer(questions).view(question)
    assert question.right is not None
    assert [(clip.name, clip.steps) for clip in view.clips] == [("left", 5), ("right", 5)]
    for side, texts in enumerate((question.left, question.right)):
        position = view.rows[0].tracks[side]
        table = texts.numbers.reshape(5, 8)
        assert list(map(float, position.values)) == [*table[:, 0], table[-1, 4]]
        assert len(position.line.split()) == 6
        assert len(view.rows[-1].tracks[side].values) == 5


def test_a_range_is_that_of_all_questions(questions: list[Question]) -> None:
    row = viewer(questions).view(questions[0]).rows[0]
    every = [texts.numbers for q in questions for texts in (q.left, q.right) if texts is not None]
    positions = [value for numbers in every for value in numbers.reshape(-1, 8)[:, [0, 4]].ravel()]
    assert (float(row.low), float(row.high)) == (min(positions), max(positions))


def test_a_line_runs_from_the_bottom_of_its_range_to_the_top(questions: list[Question]) -> None:
    rows = [row for q in questions for row in viewer(questions).view(q).rows if row.name == "cart position in m"]
    heights = {
        float(value): float(point.split(",")[1])
        for row in rows
        for track in row.tracks
        for value, point in zip(track.values, track.line.split(), strict=True)
    }
    assert heights[min(heights)] == 25.0
    assert heights[max(heights)] == 3.0


def test_an_ending_is_shown(tmp_path: Path) -> None:
    questions = asked(tmp_path / "labels.sqlite", ratings=60, preferences=0).questions()
    ends = {q.id for q in questions if "terminated here" in q.left.strings()[0]}
    assert ends
    views = {q.id: viewer(questions).view(q) for q in questions}
    assert {i for i, view in views.items() if view.clips[0].endings} == ends
    assert all(views[i].clips[0].endings == ((1, "The episode terminated here"),) for i in ends)


def test_texts_of_another_form_are_shown_as_they_are() -> None:
    texts = TextBatch.from_strings(["no step at all", "nor \x1b[31mthis"])
    question = Question(id=1, kind="preference", left=texts, right=texts)
    view = viewer([question]).view(question)
    assert view.rows == ()
    assert [clip.texts for clip in view.clips] == [("no step at all", "nor \\x1b[31mthis")] * 2


def test_many_fields_are_in_groups(tmp_path: Path) -> None:
    from rmgym.environments.collect import collect
    from rmgym.text import textualizer

    steps, text = collect("BipedalWalker-v3", 3, progress=False), textualizer("BipedalWalker-v3")
    batch = text.batch(steps)
    question = Question(id=1, kind="preference", left=batch[0:2], right=batch[1:3])
    view = Viewer(StepReader(text.card, text.language), [question]).view(question)
    states = [row for row in view.rows if not row.is_action]
    assert len(states) > 12
    assert len({row.group for row in states}) > 1
    assert all(len(row.tracks) == 2 for row in view.rows)
