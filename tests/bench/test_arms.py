"""What counts as one arm, and what its numbers are."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym.bench.arms import Arm, arms_of
from rmgym.bench.compare import compare
from rmgym.bench.verdict import verdict
from rmgym.composition import Composition
from rmgym.metrics import mean_ci
from rmgym.runs.record import Run, read_run
from tests.bench.folders import write_run


def runs(folder: Path, *each: dict[str, Any]) -> list[Run]:
    return [read_run(write_run(folder / str(i), **options)) for i, options in enumerate(each)]


def seeds(*, arms: list[Arm]) -> dict[str, list[int]]:
    return {arm.reward: [run.seed for run in arm.runs] for arm in arms}


def test_seeds_of_a_suite_are_one_arm_though_each_fits_a_model(tmp_path: Path) -> None:
    found = runs(tmp_path, *({"seed": seed, "digest": f"{seed}"} for seed in (2, 0, 1)))
    assert seeds(arms=arms_of(found)) == {"learned": [0, 1, 2]}


def test_runs_by_hand_are_one_arm_where_they_train_on_one_model(tmp_path: Path) -> None:
    one, other = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
    by_hand = [{"seed": 0, "digest": one}, {"seed": 1, "digest": one}, {"seed": 2, "digest": other}]
    found = runs(tmp_path, *({"reward": "minilm", "recipe": None, **each} for each in by_hand))
    assert seeds(arms=arms_of(found)) == {"minilm (recipe=aaaaaaaa)": [0, 1], "minilm (recipe=bbbbbbbb)": [2]}


def test_a_random_reward_of_each_seed_is_one_control(tmp_path: Path) -> None:
    control = {"reward": "random", "model": "random", "labels": 0}
    found = runs(tmp_path, *({**control, "seed": seed, "digest": f"{seed}"} for seed in (0, 1)))
    assert seeds(arms=arms_of(found)) == {"random": [0, 1]}


@pytest.mark.parametrize(
    ("second", "name"),
    [
        ({"composition": Composition(true_weight=0.5)}, "learned (true_weight=0.5)"),
        ({"language": "zh"}, "learned (language=zh)"),
        ({"kind": "shuffled"}, "learned (kind=shuffled)"),
    ],
)
def test_what_shapes_the_reward_makes_another_arm(tmp_path: Path, second: dict[str, Any], name: str) -> None:
    (match,) = compare(runs(tmp_path, {"seed": 0}, {"seed": 1, **second}))
    assert len(match.arms) == 2
    assert seeds(arms=list(match.arms))[name] == [1]


@pytest.mark.parametrize(
    ("second", "variant"),
    [
        ({"total_steps": 9000}, "total_steps=9000"),
        ({"horizon": 500}, "horizon=500"),
        ({"hyperparameters": {"gamma": 0.5, "n_steps": 8}}, "gamma=0.5"),
    ],
)
def test_what_shapes_the_training_makes_another_match(tmp_path: Path, second: dict[str, Any], variant: str) -> None:
    first = {"hyperparameters": {"gamma": 0.9, "n_steps": 8}}
    matches = compare(runs(tmp_path, {"seed": 0, **first}, {"seed": 1, **first, **second}))
    assert {match.variant for match in matches} >= {variant}
    assert [seeds(arms=list(match.arms)) for match in matches] in (
        [{"learned": [0]}, {"learned": [1]}],
        [{"learned": [1]}, {"learned": [0]}],
    )


def test_the_true_reward_reads_no_words(tmp_path: Path) -> None:
    true = {"reward": "true", "model": "true", "labels": 0}
    (arm,) = arms_of(runs(tmp_path, {**true, "seed": 0}, {**true, "seed": 1, "language": "zh"}))
    assert [run.seed for run in arm.runs] == [0, 1]


def test_two_runs_of_one_seed_are_one_seed(tmp_path: Path) -> None:
    found = runs(
        tmp_path,
        {"seed": 0, "true": (-1, -1, -300)},
        {"seed": 0, "true": (-1, -1, -500)},
        {"seed": 0, "true": (-1, -1, -900), "status": "running"},
        {"seed": 1, "true": (-1, -1, -200)},
    )
    for i, run in enumerate(found):
        os.utime(run.folder / "run.json", (i, i))
    (match,) = compare(found)
    (arm,) = match.arms
    assert arm.true_returns == [-500, -200]  # the latest of those that are finished
    assert {run.folder.name for run in arm.superseded} == {"0", "2"}
    assert "learned has several runs of seed 0: the finished one counts, or the latest." in verdict(match).sentences


def test_an_undefined_seed_is_counted(tmp_path: Path) -> None:
    found = runs(tmp_path, *({"seed": i, "spearman": rho} for i, rho in enumerate((0.2, math.nan, 0.4))))
    (arm,) = arms_of(found)
    assert arm.spearman == mean_ci([0.2, 0.4])._replace(undefined=1)
    np.testing.assert_allclose(arm.spearman.value, 0.3)


def test_a_reward_without_spread_is_flat(tmp_path: Path) -> None:
    varied, alike = ((-1.0, 3.0), (-2.0, 2.0)), ((-1.0, 3.0), (-2.0, 3.0))
    assert [arms_of(runs(tmp_path / str(i), {"points": p}))[0].is_flat for i, p in enumerate((varied, alike))] == [
        False,
        True,
    ]
