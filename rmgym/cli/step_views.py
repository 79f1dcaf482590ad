"""A step, or a segment of steps, as a person sees it in the terminal: tables, with long lists of fields in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.columns import Columns
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rmgym.feedback.grouping import grouped
from rmgym.progress import visible
from rmgym.text.batch import TextBatch
from rmgym.text.reading import StepReader, StepText

_HEADINGS = {"en": ("", "state", "next state", "action"), "zh": ("", "状态", "下一状态", "行动")}
_LONG = 12
"""Fields of a state, or of an action, that stand in one table; more go into groups."""
_ABREAST = 6
"""Steps of a segment of long states that stand side by side."""


def step_view(texts: TextBatch, reader: StepReader) -> RenderableType:
    """One step: a row per field with its value before and after, then the action and how the episode went on."""
    text = visible(texts.strings()[0])
    step = reader.read(text)
    if step is None:
        return Text(text)
    _, state, next_state, action = _headings(texts)
    grid = Table.grid()
    if step.history:
        grid.add_row(Text(step.history))
    values = {name: (value, step.next_state[name]) for name, value in step.state.items()}
    grid.add_row(_fields(values, (state, next_state)))
    if len(step.action) > _LONG:
        grid.add_row(_fields({name: (value,) for name, value in step.action.items()}, (action,)))
    else:
        grid.add_row(Text("\n".join(f"{action} · {name}: {value}" for name, value in step.action.items())))
    if step.ending:
        grid.add_row(Text(step.ending))
    return grid


def segment_view(texts: TextBatch, reader: StepReader) -> RenderableType:
    """A segment: every step's state and action, and at last the state it led to."""
    strings = [*map(visible, texts.strings())]
    steps = [step for step in map(reader.read, strings) if step is not None]
    if len(steps) < len(strings) or any(step.state.keys() != steps[0].state.keys() for step in steps):
        return Text("\n".join(strings))
    grid = Table.grid()
    if len(steps[0].state) > _LONG:
        for first in range(0, len(steps), _ABREAST):
            grid.add_row(_steps_abreast(steps, range(first, min(first + _ABREAST, len(steps))), _headings(texts)[3]))
    else:
        table = _table(("", *steps[0].state, *steps[0].action))
        for i, step in enumerate(steps):
            table.add_row(*map(Text, (str(i + 1), *step.state.values(), *step.action.values())))
        table.add_row(Text("→"), *map(Text, steps[-1].next_state.values()))
        grid.add_row(table)
    for i, step in enumerate(steps):
        if step.ending:
            grid.add_row(Text(f"{i + 1}: {step.ending}"))
    return grid


def _headings(texts: TextBatch) -> tuple[str, str, str, str]:
    return _HEADINGS.get(texts.language, _HEADINGS["en"])


def _fields(values: Mapping[str, tuple[str, ...]], columns: tuple[str, ...]) -> RenderableType:
    """A row per field; many of them in a table per group, as many side by side as there is room for."""
    if len(values) <= _LONG:
        return _filled(_table(("", *columns)), values)
    tables = list[Padding]()
    for group in grouped([*values]):
        rows = [(label, values[name]) for name, label in group.labels.items()]
        for first in range(0, len(rows), _LONG):
            table = _filled(_table((group.heading, *columns)), dict(rows[first : first + _LONG]))
            tables.append(Padding(table, (0, 0, 1, 0)))
    return Columns(tables, padding=(0, 4))


def _steps_abreast(steps: Sequence[StepText], shown: range, action: str) -> Table:
    """Some steps of a segment side by side: a row per field, in groups; behind the last step the state it led to."""
    end = [steps[-1].next_state] if shown.stop == len(steps) else []
    states = [*(steps[i].state for i in shown), *end]
    table = _table(("", *(str(i + 1) for i in shown), *("→" for _ in end)))
    for group in grouped([*steps[0].state]):
        if group.heading:
            table.add_row(Text(group.heading, style="bold"))
        rows = {f"  {label}": tuple(state[name] for state in states) for name, label in group.labels.items()}
        _filled(table, rows)
    table.add_row(Text(action, style="bold"))
    return _filled(table, {f"  {name}": tuple(steps[i].action[name] for i in shown) for name in steps[0].action})


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if i else "left", overflow="fold")
    return table


def _filled(table: Table, rows: Mapping[str, tuple[str, ...]]) -> Table:
    for label, values in rows.items():
        table.add_row(Text(label), *map(Text, values))
    return table
