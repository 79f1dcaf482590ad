"""Policies that are kept, what heads take them for, and how far they agree."""

from pathlib import Path

import numpy as np
import pytest

import rmgym
from rmgym.runs.loop_policies import agreement, keep_policy, values_of
from rmgym.transitions import Transitions


def test_the_latest_steps_are_kept(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 1500, seed=0, progress=False)
    keep_policy(tmp_path, "agent", steps)
    kept = Transitions.load(tmp_path / "agent.parquet")
    np.testing.assert_array_equal(kept.obs, steps[slice(500, None)].obs)
    keep_policy(tmp_path, "few", steps[slice(0, 7)])
    assert len(Transitions.load(tmp_path / "few.parquet")) == 7


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_a_policy_is_worth_its_rewards_by_episode_or_by_step_where_none_ends(tmp_path: Path, env: str) -> None:
    """Episodes of CartPole fall; those of Pendulum are cut before their end, some earlier than others."""
    parts = {
        name: rmgym.collect(env, steps, seed=1, policy=name, reset_every=40, progress=False)
        for name, steps in {"random": 150, "sticky": 90}.items()
    }
    for name, steps in parts.items():
        keep_policy(tmp_path, name, steps)
    words = rmgym.textualizer(env)
    models = [rmgym.create_reward_model("no-lm", seed=seed, heads=1) for seed in (0, 1)]
    for model in models:
        model.prepare(words.batch(parts["random"]))
        model.scale.fill_(3.0)
        model.offset.fill_(-2.0)
        model.accept_random_weights().eval()
    values = values_of(models, [tmp_path / f"{name}.parquet" for name in parts], words)
    for model, its_values in zip(models, values, strict=True):
        assert its_values.shape == (2, 1)
        for steps, value in zip(parts.values(), its_values[:, 0], strict=True):
            ends = (steps.terminated | steps.truncated).sum()
            assert (ends > 0) == (env == "CartPole-v1")
            expected = model.predict(words.batch(steps)).mean.sum(dtype=np.float64) / (ends or len(steps))
            np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_agreement_is_of_each_head_with_the_others_and_of_an_earlier_model_with_all() -> None:
    now = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])  # the third head has the two policies the other way round
    # The mean of the others: of the first two heads (0.5, 0.5), which tells nothing apart; of the third (0, 1).
    assert np.isnan(agreement(now, None))
    now[1, :2] = 4.0
    assert agreement(now, None) == pytest.approx(2 / 3)  # others of the first two: (0.5, 2), of the third: (0, 4)
    assert agreement(now, np.array([[1.0], [0.0]])) == pytest.approx(2 / 4)
    assert np.isnan(agreement(now[:, :1], None))
    assert agreement(now[:, :1], np.array([[0.0], [2.0]])) == 1


def test_heads_that_know_nothing_agree_by_chance() -> None:
    rng = np.random.default_rng(0)
    drawn = [agreement(rng.normal(size=(8, 5)), rng.normal(size=(8, 1))) for _ in range(500)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.02)
