import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym.bench import compare as compare_module
from rmgym.bench.compare import Match, compare, gamed_from, mean_curve
from rmgym.bench.table import HEADERS, cells, duration
from rmgym.bench.verdict import number, verdict
from rmgym.runs.record import Run, read_run
from tests.bench.folders import write_run


@pytest.fixture
def known_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random policy returns -1,200; no card says what an agent on the true reward returns."""
    monkeypatch.setattr(compare_module, "_references", lambda env: (-1200.0, math.nan, None))


def runs(folder: Path, *each: dict[str, Any]) -> list[Run]:
    return [read_run(write_run(folder / str(i), **said)) for i, said in enumerate(each)]


def one(folder: Path, *each: dict[str, Any]) -> Match:
    (match,) = compare(runs(folder, *each))
    return match


TRUE = {"reward": "true", "model": "true", "labels": 0, "true": (-1000, -500, -200)}
RANDOM = {"reward": "random", "model": "random", "labels": 0, "true": (-1200, -1200, -1150)}


@pytest.mark.usefixtures("known_references")
def test_shares_are_of_the_range_from_random_to_true(tmp_path: Path) -> None:
    seeds = [{"seed": 0, "true": (-900, -600, -300)}, {"seed": 1, "true": (-900, -600, -500)}]
    match = one(tmp_path, *seeds, TRUE, RANDOM)
    share = {arm.reward: arm.share.value for arm in match.arms}
    assert share == pytest.approx({"learned": 0.8, "true": 1.0, "random": 0.05})  # (-400 + 1200) / (-200 + 1200)
    learned = match.arms[0]
    assert learned.true_return.value == -400
    assert -500 <= learned.true_return.low <= -400 <= learned.true_return.high <= -300
    assert [arm.kind for arm in match.arms] == ["learned", "true", "control"]


def test_without_known_references_there_is_no_share(tmp_path: Path) -> None:
    match = one(tmp_path, {"env": "Own-v0"}, TRUE | {"env": "Own-v0"})
    assert all(math.isnan(arm.share.value) for arm in match.arms)
    assert verdict(match).mark == "open"


def test_environments_with_other_arguments_and_algorithms_are_apart(tmp_path: Path) -> None:
    said = [{"env_kwargs": {"g": 5}}, {"env_kwargs": {"g": 9}}, {"algo": "dqn"}, {}]
    matches = compare(runs(tmp_path, *said))
    assert [(m.task, m.algo) for m in matches] == [
        ("Pendulum-v1", "dqn"),
        ("Pendulum-v1", "ppo"),
        ("Pendulum-v1 (g=5)", "ppo"),
        ("Pendulum-v1 (g=9)", "ppo"),
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


@pytest.mark.parametrize(
    ("true", "learned", "step"),
    [
        ((-1000, -200, -600), (10, 20, 30), 2000),  # earns less, is told more: gamed since its peak
        ((-1000, -200, -600), (10, 20, 15), None),  # both fall: unlearning, not gaming
        ((-1000, -200, -250), (10, 20, 30), None),  # less than a tenth of the range
        ((-1000, -600, -200), (10, 20, 30), None),
    ],
)
@pytest.mark.usefixtures("known_references")
def test_gaming_is_true_return_falling_while_learned_return_does_not(
    tmp_path: Path, true: tuple[float, ...], learned: tuple[float, ...], step: float | None
) -> None:
    match = one(tmp_path, {"true": true, "learned": learned}, TRUE)
    assert gamed_from(match.arms[0], 1000) == step
    assert any("is gamed" in s for s in verdict(match).sentences) == (step is not None)


@pytest.mark.parametrize(("final", "mark"), [(-200, "good"), (-300, "good"), (-301, "partly"), (-701, "bad")])
@pytest.mark.usefixtures("known_references")
def test_marks(tmp_path: Path, final: float, mark: str) -> None:
    match = one(tmp_path, {"true": (-1000, -1000, final)}, TRUE, RANDOM)
    assert verdict(match).mark == mark


@pytest.mark.usefixtures("known_references")
def test_a_control_that_solves_the_task_takes_the_proof_away(tmp_path: Path) -> None:
    match = one(tmp_path, {"true": (-1000, -500, -200)}, TRUE, RANDOM | {"true": (-1200, -900, -250)})
    said = verdict(match)
    assert said.mark == "partly"
    assert "so does a reward that knows nothing" in said.headline
    assert any("does not prove that a reward is right" in s for s in said.sentences)


@pytest.mark.usefixtures("known_references")
def test_the_verdict_says_what_it_rests_on(tmp_path: Path) -> None:
    match = one(tmp_path, {}, TRUE, RANDOM | {"status": "running"})
    text = " ".join(verdict(match).sentences)
    assert "Trained on learned (100 labels) alone, PPO reached a true return of -200: 100% of the way" in text
    assert "(Pearson 0.90, Spearman 0.90, 95% of pairs in the right order)" in text
    assert "The control random reached -1,150 (5%)" in text
    assert "One seed: a demonstration, not yet evidence" in text
    assert "1 of these runs are not finished" in text


def test_agreement_with_a_constant_reward_is_undefined_not_zero(tmp_path: Path) -> None:
    match = one(tmp_path, {"spearman": math.nan})
    assert any("is undefined" in s for s in verdict(match).sentences)
    assert cells(match)[0][HEADERS.index("Spearman")] == "–"


def test_cells(tmp_path: Path) -> None:
    match = one(tmp_path, {"env": "Own-v0"}, TRUE | {"env": "Own-v0"})
    assert cells(match) == [
        ["learned", "1", "100", "-200", "–", "0.90", "0.90", "95%", "12 s", "6 s", "500"],
        ["true", "1", "0", "-200", "–", "–", "–", "–", "–", "6 s", "500"],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-1203.4, "-1,203"), (17.25, "17.2"), (0.974, "0.97"), (math.nan, "–"), (0.0, "0.00"), (-0.001, "0.00")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(48.2, "48 s"), (192, "3 min 12 s"), (7500, "2 h 05 min"), (math.nan, "–")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
