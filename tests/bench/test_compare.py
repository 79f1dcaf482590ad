import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym.bench.compare import Match, compare, mean_curve
from rmgym.metrics import Sample, share_ci
from rmgym.runs.record import Run, read_run
from tests.bench.folders import write_run


def runs(folder: Path, *each: dict[str, Any]) -> list[Run]:
    return [read_run(write_run(folder / str(i), **options)) for i, options in enumerate(each)]


def one(folder: Path, *each: dict[str, Any]) -> Match:
    (match,) = compare(runs(folder, *each))
    return match


TRUE = {"reward": "true", "model": "true", "labels": 0, "true": (-1000, -500, -200)}
RANDOM = {"reward": "random", "model": "random", "labels": 0, "true": (-1200, -1200, -1150)}


def test_shares_are_of_the_range_from_random_to_true(tmp_path: Path) -> None:
    seeds = [{"seed": 0, "true": (-900, -600, -300)}, {"seed": 1, "true": (-900, -600, -500)}]
    match = one(tmp_path, *seeds, TRUE, RANDOM)
    share = {arm.reward: arm.share.value for arm in match.arms}
    assert share == pytest.approx({"learned": 0.8, "true": 1.0, "random": 0.05})  # (-400 + 1200) / (-200 + 1200)
    learned = match.arms[0]
    assert learned.true_return.value == -400
    assert learned.true_return.high == pytest.approx(-400 + 12.7062 * 100, abs=0.1)  # t(1) * 141.4 / sqrt(2)
    assert [arm.kind for arm in match.arms] == ["learned", "true", "control"]


def test_the_share_is_as_uncertain_as_its_references(tmp_path: Path) -> None:
    learned = [{"seed": i, "true": (-1, -1, x)} for i, x in enumerate((-300, -310, -290))]
    true = [{**TRUE, "seed": i, "true": (-1, -1, x)} for i, x in enumerate((-200, -240, -220))]
    match = one(tmp_path, *learned, *true)
    # The runs of one seed played the same episodes at random, which count once.
    random = Sample.of([-1210, -1190] * 3)
    expected = share_ci(Sample.of([-300, -310, -290]), random=random, reference=Sample.of([-200, -240, -220]))
    assert match.arms[0].share == expected
    assert match.random == random
    assert math.isnan(match.arms[1].share.low)  # the true arm is all of itself


def test_without_known_references_there_is_no_share(tmp_path: Path) -> None:
    match = one(tmp_path, {"env": "Own-v0"}, RANDOM | {"env": "Own-v0"})
    assert all(math.isnan(arm.share.value) for arm in match.arms)
    match = one(tmp_path / "not-yet", {"env": "Own-v0", "random": None}, TRUE | {"env": "Own-v0", "random": None})
    assert all(math.isnan(arm.share.value) for arm in match.arms)


def test_an_environment_without_a_card_has_shares(tmp_path: Path) -> None:
    match = one(tmp_path, {"env": "Own-v0", "true": (-1, -1, -700)}, TRUE | {"env": "Own-v0"})
    assert match.arms[0].share.value == pytest.approx(0.5)


def test_environments_with_other_arguments_and_algorithms_are_apart(tmp_path: Path) -> None:
    options = [{"env_kwargs": {"g": 5}}, {"env_kwargs": {"g": 9}}, {"algo": "dqn"}, {}]
    matches = compare(runs(tmp_path, *options))
    assert [match.title for match in matches] == [
        "Pendulum-v1 · DQN",
        "Pendulum-v1 · PPO",
        "Pendulum-v1 (g=5) · PPO",
        "Pendulum-v1 (g=9) · PPO",
    ]


def test_mean_curve_goes_as_far_as_every_seed_and_interpolates(tmp_path: Path) -> None:
    found = runs(
        tmp_path,
        {"steps": (10, 20), "true": (0, 10), "learned": (0, 0)},
        {"steps": (10, 30), "true": (100, 300), "learned": (0, 0)},
    )
    steps, values = mean_curve(found, "true_return_mean")
    np.testing.assert_allclose(steps, [10, 20])
    np.testing.assert_allclose(values, [50, 105])  # (0 + 100) / 2, (10 + 200) / 2
