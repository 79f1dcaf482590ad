"""``rmgym bench --dry-run``: what a suite would do, and what of it is there, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TypedDict

from rmgym.bench.grid import KIND, Task, plan
from rmgym.bench.suite import Suite
from rmgym.cli.output import out, print_json, table
from rmgym.jobs import read_record
from rmgym.jobs.settings import differences


class _CellFacts(TypedDict):
    """What is shown of one cell."""

    kind: str
    title: str
    state: str
    needs: str | None
    folder: str


def show_cells(suite: Suite, folder: Path, *, as_json: bool) -> None:
    """Print the cells of a suite in the order in which they would be done. Its environments are made, to see that.

    Raises:
        RunError: an environment cannot be made.
        CardError: a card does not fit.
        JobError: the record of a cell is damaged.
    """
    from rmgym.environments.build import build_env
    from rmgym.text import textualizer

    for environment in suite.environments:
        spec = environment.spec
        with closing(build_env(spec)) as env:
            textualizer(env, card=spec.card, language=spec.language)
    cells = _facts(plan(suite, folder))
    if as_json:
        print_json({"name": suite.name, "folder": str(folder), "cells": cells})
        return
    out.print(table(("cell", "state", "needs"), [(c["title"], c["state"], c["needs"] or "-") for c in cells]))
    fits = sum(cell["kind"] == "model" for cell in cells)
    done = sum(cell["state"] == "done" for cell in cells)
    out.print(
        f"\n{len(cells)} cells in {folder}: {fits} to fit a reward model, {len(cells) - fits} to train an agent; "
        f"{done} done. Nothing was run.",
        markup=False,
    )


def _facts(tasks: Sequence[Task]) -> list[_CellFacts]:
    titles = {task.folder: task.title for task in tasks}
    return [
        {
            "kind": task.kind,
            "title": task.title,
            "state": _state(task),
            "needs": None if task.after is None else titles[task.after],
            "folder": str(task.folder),
        }
        for task in tasks
    ]


def _state(task: Task) -> str:
    """How far a cell is."""
    record = read_record(task.folder, KIND)
    if record is None:
        return "to do"
    if any(differences(record.settings, task.job.settings)):
        return "refused: its folder was begun with other settings"
    return "done" if record.status == "done" else "begun"
