"""What is decided between the rounds of a loop whose labels cleaning may make fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rmgym import LabelStore, ScriptedTeacher
from rmgym.feedback.cleaning import Audit
from rmgym.models.controls import ConstantReward
from rmgym.runs.loop_folder import ROUND, LoopFolder
from rmgym.runs.loop_options import LoopOptions
from rmgym.runs.loop_rounds import LoopRounds, compared_then
from rmgym.runs.record import Round
from rmgym.specs import EnvSpec
from rmgym.storage.atomic import make_folder, write_json
from tests.feedback.cleaning.answering import drawn_steps


def rounds_of(folder: Path, agreements: Sequence[float], labels: Sequence[int], fitted: Sequence[bool]) -> LoopRounds:
    """Rounds that are done, some of which fitted a model of their own."""
    there = LoopFolder(folder)
    for i, (agreement, count, own) in enumerate(zip(agreements, labels, fitted, strict=True)):
        make_folder(there.round(i), what="a round of a loop")
        done = Round(number=i, steps=i, asked={}, labels=count, pending=0, agreement=agreement, seconds=1.0)
        write_json(there.round(i) / ROUND, asdict(done))
        if own:
            ConstantReward().save(there.model(i))
    return LoopRounds(EnvSpec(id="CartPole-v1"), ScriptedTeacher(), 40, LoopOptions(settled=0.98), there, 0, False)


@pytest.mark.parametrize(
    ("agreements", "labels", "fitted", "settled"),
    [
        ((0.2, 0.3, 0.99, 0.99), (40, 60, 45, 55), (True,) * 4, True),  # fewer labels, and other models all the same
        ((0.2, 0.3, 0.3, 0.99), (40, 60, 45, 55), (True,) * 4, False),
        (
            (0.2, 0.3, 0.99, 0.99),
            (40, 60, 60, 60),
            (True, True, False, False),
            False,
        ),  # one model that agrees with itself
        ((0.99,), (40,), (True,), False),
    ],
)
def test_the_order_settles_over_two_models_however_many_labels_they_had(
    agreements: Sequence[float], labels: Sequence[int], fitted: Sequence[bool], settled: bool, tmp_path: Path
) -> None:
    assert rounds_of(tmp_path, agreements, labels, fitted)._settled() is settled


def test_what_was_compared_first_stays_though_later_answers_set_it_aside(tmp_path: Path) -> None:
    steps, texts = drawn_steps(60, 0)
    store = LabelStore(tmp_path / "labels.sqlite")

    def compare(pairs: list[tuple[int, int]]) -> None:
        for query in store.add_preference_queries(steps, texts, np.array(pairs), 1):
            store.prefer(query, 1.0, annotator="ann", source="human")

    compare([(0, 1), (2, 3), (4, 5), (20, 21), (21, 20)])  # the last two contradict each other
    first = store.labels()
    assert compared_then(store.given(), first.source).strings() == texts[:6].strings() == first.texts.strings()
    compare([(1, 6), (6, 7), (7, 0), (1, 7), (6, 0), (30, 31)])  # which close circles with (0, 1)
    later = store.labels()
    audit = Audit.of(later.source)
    assert audit is not None
    assert any(finding.what == "cycle" and 1 in finding.answers for finding in audit.findings)
    assert compared_then(store.given(), first.source).strings() == texts[:6].strings()
