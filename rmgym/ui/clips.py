"""What the page shows of a question: each field with its values, its range, which way it moved, and a line of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rmgym.feedback.grouping import grouped
from rmgym.feedback.questions import Question, segment_digest
from rmgym.progress import visible
from rmgym.text.batch import TextBatch
from rmgym.text.reading import StepReader, StepText

PLACEMENT = "placement"
"""The kind of question where a step belongs on the ladder."""
WIDTH, HEIGHT = 120.0, 28.0
"""Of the box that a line is drawn in."""
_EDGE = 3.0
_LONG = 12
"""Fields that stand in one list; more are put into groups."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """The values of one field in one clip.

    Attributes:
        values: as they are written, one per state; of an action one per step.
        line: points ``x,y`` of the numbers within the field's range; empty for words.
        moved: ``rises``, ``falls``, ``stays`` or ``changes``, from the first to the last; empty for actions.
    """

    values: tuple[str, ...]
    line: str
    moved: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A field, or an action, of all clips of a question beside each other.

    Attributes:
        name: as the card calls it; of a group's field what follows the group's heading.
        group: heading of its group; empty where there are no groups, or where it is alone.
        low: the lowest number that it has in any question; empty for words.
        high: the highest.
        tracks: one per clip.
        is_action: whether it is an action.
    """

    name: str
    group: str
    low: str
    high: str
    tracks: tuple[Track, ...]
    is_action: bool


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One side of a question.

    Attributes:
        name: ``left`` or ``right`` of a comparison, ``step`` where one is rated, ``below``, ``this step`` and ``above``
            where one is placed.
        digest: of what it shows, by which pictures of it are known.
        steps: how many.
        endings: how the episode went on where it did not go on, by the number of the step.
        texts: the steps as they are read, where they cannot be taken apart; else empty.
    """

    name: str
    digest: str
    steps: int
    endings: tuple[tuple[int, str], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """A question as it is shown.

    Attributes:
        kind: ``rating``, ``preference`` or ``placement``.
        task: the sentence that says what is to be done.
        clips: one, the left and the right one, or a step and its neighbours.
        rows: their fields; empty where a text cannot be taken apart.
    """

    kind: str
    task: str
    clips: tuple[Clip, ...]
    rows: tuple[Row, ...]


class Viewer:
    """Makes views; the range of a field is that of all questions.

    Args:
        reader: takes texts apart.
        questions: all there are.
    """

    def __init__(self, reader: StepReader, questions: Iterable[Question]) -> None:
        self._reader, self._ranges = reader, dict[str, tuple[float, float]]()
        for question in questions:
            for texts in (question.left, question.right):
                for step in self._read(texts) if texts is not None else ():
                    for part in (step.state, step.next_state, step.action):
                        self._widen(part)

    def view(self, question: Question) -> View:
        """What is shown of a question."""
        if question.right is None:
            return self._view(question.kind, {"step": question.left})
        return self._view(question.kind, {"left": question.left, "right": question.right})

    def beside(self, low: Question | None, step: Question, high: Question | None) -> View:
        """What is shown of a step and its neighbours on the ladder."""
        sides = {"below": low, "this step": step, "above": high}
        return self._view(PLACEMENT, {name: asked.left for name, asked in sides.items() if asked is not None})

    def label(self, question: Question) -> str:
        """A step in a line: its values, with the last state's where it changes."""
        view = self.view(question)
        return ", ".join(row.tracks[0].values[-1] for row in view.rows) or " ".join(view.clips[0].texts)

    def _view(self, kind: str, sides: Mapping[str, TextBatch]) -> View:
        read = [self._read(texts) for texts in sides.values()]
        alike = all(len(steps) == len(texts) for steps, texts in zip(read, sides.values(), strict=True)) and all(
            step.state.keys() == read[0][0].state.keys() and step.action.keys() == read[0][0].action.keys()
            for steps in read
            for step in steps
        )
        clips = [
            Clip(
                name=name,
                digest=segment_digest(texts),
                steps=len(texts),
                endings=tuple((i, step.ending) for i, step in enumerate(steps, 1) if step.ending) if alike else (),
                texts=() if alike else tuple(map(visible, texts.strings())),
            )
            for (name, texts), steps in zip(sides.items(), read, strict=True)
        ]
        task = next((step.task for steps in read for step in steps), "")
        return View(kind=kind, task=task, clips=tuple(clips), rows=tuple(self._rows(read)) if alike else ())

    def _read(self, texts: TextBatch) -> list[StepText]:
        return [step for step in map(self._reader.read, map(visible, texts.strings())) if step is not None]

    def _widen(self, part: Mapping[str, str]) -> None:
        for name, value in part.items():
            if (number := _number(value)) is not None:
                low, high = self._ranges.get(name, (number, number))
                self._ranges[name] = min(low, number), max(high, number)

    def _rows(self, clips: Sequence[Sequence[StepText]]) -> Iterable[Row]:
        """The fields of a state, in groups where there are many, and those of an action."""
        states = [[*(step.state for step in steps), steps[-1].next_state] for steps in clips]
        actions = [[step.action for step in steps] for steps in clips]
        names = [*states[0][0]]
        groups = grouped(names) if len(names) > _LONG else []
        labels = {name: (group.heading, label) for group in groups for name, label in group.labels.items()}
        for name in labels or names:
            yield self._row(name, labels.get(name, ("", name)), states, is_action=False)
        for name in actions[0][0]:
            yield self._row(name, ("", name), actions, is_action=True)

    def _row(
        self, name: str, label: tuple[str, str], clips: Sequence[Sequence[Mapping[str, str]]], *, is_action: bool
    ) -> Row:
        columns = [tuple(values[name] for values in clip) for clip in clips]
        words = any(_number(value) is None for column in columns for value in column)
        low, high = self._ranges.get(name, (0.0, 0.0))
        tracks = [
            Track(
                values=column,
                line="" if words else _line([float(value) for value in column], low, high),
                moved="" if is_action else _moved(column[0], column[-1]),
            )
            for column in columns
        ]
        return Row(
            name=label[1],
            group=label[0],
            low="" if words else f"{low:g}",
            high="" if words else f"{high:g}",
            tracks=tuple(tracks),
            is_action=is_action,
        )


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _line(numbers: Sequence[float], low: float, high: float) -> str:
    """Points of a line through numbers, within a range; one number is a level line."""
    numbers = [*numbers, *numbers] if len(numbers) == 1 else numbers
    width, height = WIDTH - 2 * _EDGE, HEIGHT - 2 * _EDGE
    share = [(number - low) / (high - low) if high > low else 0.5 for number in numbers]
    points = (
        f"{_EDGE + width * i / (len(numbers) - 1):.1f},{HEIGHT - _EDGE - height * y:.1f}" for i, y in enumerate(share)
    )
    return " ".join(points)


def _moved(first: str, last: str) -> str:
    before, after = _number(first), _number(last)
    if first == last or before == after:
        return "stays"
    if before is None or after is None:
        return "changes"
    return "rises" if after > before else "falls"
