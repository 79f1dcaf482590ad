"""Both returns while training, without any effect on the training."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rmgym.errors import PlaceholderRewardError, RunError
from rmgym.evaluation.log import COLUMNS, ComparisonLog
from rmgym.sb3 import LearnedRewardVecEnv, RewardComparisonCallback, evaluate, load_agent, make_agent
from tests.doubles import COUNTER, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, SMALL, parameters


@pytest.mark.parametrize(
    ("algo", "env_id", "more"),
    [
        ("ppo", "Pendulum-v1", {"env_kwargs": {"max_episode_steps": 30}, "use_sde": True, "n_envs": 2}),
        ("dqn", COUNTER, {"n_envs": 1}),
    ],
)
def test_training_is_the_same_with_and_without(algo: str, env_id: str, more: dict[str, Any], tmp_path: Path) -> None:
    told = {**SMALL[algo], **more}
    watch = RewardComparisonCallback(eval_every=30, episodes=2, out=tmp_path, save_best="true")
    watched = make_agent(algo, env_id, reward_model=ToyReward(), **told).learn(200, callback=watch)
    alone = make_agent(algo, env_id, reward_model=ToyReward(), **told).learn(200)
    assert len(watch.rows) >= 6
    assert np.array_equal(parameters(watched), parameters(alone))


def test_rows_are_evaluations_at_their_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ToyReward()
    watch = RewardComparisonCallback(eval_every=40, episodes=3, out=tmp_path / "run", save_best="learned", verbose=1)
    agent = make_agent(
        "ppo", COUNTER, reward_model=model, n_envs=2, tensorboard_log=tmp_path / "tensorboard",
        **{**PPO_SMALL, "learning_rate": 0.05},
    ).learn(192, callback=watch)  # fmt: skip
    with (tmp_path / "run" / "comparison.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == (*COLUMNS, "checksum")
    rows = ComparisonLog(tmp_path / "run").rows()
    assert [row["steps"] for row in rows] == [40, 80, 120, 160, 192]
    assert rows == watch.rows
    now = evaluate(agent, COUNTER, model, episodes=3)  # the last row is about the agent after its last update
    assert {key: rows[-1][key] for key in now.row()} == now.row()
    steps = ComparisonLog(tmp_path / "run").steps()
    columns = (now.steps.episode, now.steps.step, now.steps.true_reward, now.learned_reward)
    assert np.array_equal(np.stack(list(steps.values())), np.stack(columns))
    best = load_agent(tmp_path / "run" / "best_learned.zip", model)
    assert evaluate(best, COUNTER, model, episodes=3).row()["learned_return_mean"] == max(
        row["learned_return_mean"] for row in rows
    )
    assert watch.kept == max(rows, key=lambda row: row["learned_return_mean"])
    assert capsys.readouterr().out.count("spearman") == 5
    events = EventAccumulator(str(tmp_path / "tensorboard" / "PPO_1"))
    events.Reload()
    logged = [(e.step, e.value) for e in events.Scalars("rmgym/true_return")]
    assert logged == [(row["steps"], pytest.approx(row["true_return_mean"])) for row in rows]
    keys = {"rmgym/learned_return", "rmgym/gap_alarm", "rollout/true_return_mean", "rollout/learned_return_mean"}
    assert keys <= set(events.Tags()["scalars"])


def test_training_returns_are_logged_under_own_keys() -> None:
    """Deferred and per-step scoring tell the same learned returns of training episodes."""
    said = {}
    for when in ("step", "rollout"):
        agent = make_agent("ppo", COUNTER, reward_model=ToyReward(), when=when, n_envs=2, **PPO_SMALL)  # type: ignore[arg-type]
        agent.learn(96, callback=RewardComparisonCallback(eval_every=96, episodes=1))
        said[when] = dict(agent.logger.name_to_value)
        agent.learn(192, callback=(watch := RewardComparisonCallback(eval_every=1_000, episodes=1)))
        finished = watch._learned_returns or agent.rollout_buffer.learned_returns.finished  # type: ignore[attr-defined]
        said[when] = list(finished)[-20:]
    assert said["step"] == pytest.approx(said["rollout"], abs=1e-4)
    assert len(said["step"]) == 20


def test_learned_and_composed_returns_mean_the_same_however_steps_are_scored() -> None:
    parts = {"learned_weight": 0.5, "true_weight": 0.1}
    said = []
    for when in ("step", "rollout"):
        agent = make_agent(
            "ppo", COUNTER, reward_model=ToyReward(), when=when, n_envs=2, composition=parts, **PPO_SMALL,  # type: ignore[arg-type]
        ).learn(192, callback=(watch := RewardComparisonCallback(eval_every=1_000, episodes=1)))  # fmt: skip
        watch._on_rollout_end()
        logged = agent.logger.name_to_value
        said.append([logged[f"rollout/{name}_return_mean"] for name in ("true", "learned", "composed")])
        true, learned, composed = said[-1]
        assert composed == pytest.approx(0.5 * learned + 0.1 * true, abs=1e-4)
    assert said[0] == pytest.approx(said[1], abs=1e-4)


def row(true: float, learned: float, std: float = 1.0) -> dict[str, float]:
    return {
        "steps": 0,
        "episodes": 4,
        "true_return_mean": true,
        "true_return_std": std,
        "learned_return_mean": learned,
        "learned_return_std": std,
    }


@pytest.mark.parametrize(
    ("rows", "alarm"),
    [
        ([row(5, 0), row(4, 1), row(3, 2)], True),
        ([row(5, 0), row(4, 1)], False),  # too few
        ([row(5, 0), row(6, 1), row(7, 2)], False),  # both rise
        ([row(5, 2), row(4, 1), row(3, 0)], False),  # both fall
        ([row(3, 2), row(4, 1), row(5, 0)], False),  # learned falls while true rises
        ([row(5, 0, std=9), row(4, 1, std=9), row(3, 2, std=9)], False),  # within the standard error
        ([row(9, 9), row(5, 0), row(4, 1), row(3, 2)], True),  # only the window counts
    ],
)
def test_gap_alarm(rows: list[dict[str, float]], alarm: bool) -> None:
    assert RewardComparisonCallback("constant", alarm_window=3)._is_gamed(rows) is alarm


def test_a_gamed_reward_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """A reward that is about the negated true one: as it rises, the true return must fall."""

    class Negated(ToyReward):
        def predict(self, texts: Any) -> Any:  # the true reward is 10 * position + action
            said = super().predict(texts)
            said.mean[:] = -texts.numbers.reshape(len(texts), -1)[:, -2]  # the next position
            return said

    watch = RewardComparisonCallback(eval_every=96, episodes=10, out=tmp_path)
    told = {**PPO_SMALL, "learning_rate": 0.005}
    with caplog.at_level(logging.WARNING):
        make_agent("ppo", COUNTER, reward_model=Negated(), seed=3, n_envs=2, **told).learn(480, callback=watch)
    assert watch.last is not None
    assert watch.last.spearman < -0.5
    assert 288 in watch.alarms
    assert "gaming" in caplog.text


def test_a_resumed_training_keeps_earlier_rows(tmp_path: Path) -> None:
    agent = make_agent("dqn", COUNTER, reward_model="random", **DQN_SMALL)
    agent.learn(64, callback=RewardComparisonCallback(eval_every=32, episodes=1, out=tmp_path))
    again = RewardComparisonCallback(eval_every=32, episodes=1, out=tmp_path)
    agent.learn(64, callback=again, reset_num_timesteps=False)
    assert [r["steps"] for r in again.rows] == [32, 64, 96, 128]
    afresh = RewardComparisonCallback(eval_every=32, episodes=1, out=tmp_path)
    agent.learn(32, callback=afresh)
    assert [r["steps"] for r in afresh.rows] == [32]


def test_it_evaluates_in_the_agents_environment() -> None:
    limited = {"max_episode_steps": 12}
    ours = make_agent("ppo", "CartPole-v1", reward_model="constant", n_envs=2, env_kwargs=limited, **PPO_SMALL)
    venv = make_vec_env("CartPole-v1", 2, env_kwargs=limited)
    theirs = PPO("MlpPolicy", venv, n_steps=48, batch_size=48, device="cpu")
    for agent in (ours, theirs):
        watch = RewardComparisonCallback("random", eval_every=96, episodes=3)
        agent.learn(96, callback=watch)
        assert watch.last is not None
        assert watch.last.length.max() <= 12


def test_it_judges_in_the_language_of_the_training() -> None:
    venv = LearnedRewardVecEnv(make_vec_env("CartPole-v1"), "random", language="zh")
    agent = PPO("MlpPolicy", venv, n_steps=48, batch_size=48, device="cpu")
    watch = RewardComparisonCallback(eval_every=48, episodes=1)
    agent.learn(48, callback=watch)
    assert watch.last is not None
    expected = venv.learned(watch.last.steps)
    np.testing.assert_allclose(watch.last.learned_reward, expected, atol=1e-6)


def test_an_agent_that_would_train_on_zeros_is_stopped() -> None:
    venv = LearnedRewardVecEnv(make_vec_env("CartPole-v1"), "constant", when="rollout")
    agent = PPO("MlpPolicy", venv, n_steps=48, batch_size=48, device="cpu")
    with pytest.raises(PlaceholderRewardError, match="score_rollouts"):
        agent.learn(48, callback=RewardComparisonCallback(eval_every=48))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"eval_every": 0}, "positive"),
        ({"alarm_window": 1}, "positive"),
        ({"save_best": "best", "out": "."}, "'true', 'learned'"),
        ({"save_best": "true"}, "out="),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError, match=said):
        RewardComparisonCallback("constant", **options)
