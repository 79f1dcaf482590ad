"""The steps before a step in its text: exact words, the same on every road, cut where episodes begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import rmgym
from rmgym.cards import EnvCard, find_env_card
from rmgym.environments.raw_observation import for_policy
from rmgym.errors import CardError, TextError
from rmgym.scoring.lookup import ScoreTable
from rmgym.text.reading import StepReader
from rmgym.transitions import Transitions
from rmgym.trees import stack
from tests.doubles import ToyReward
from tests.sb3.small import SMALL, parameters

ROADS = ("FrozenLake-v1", "CartPole-v1", "MiniGrid-Empty-5x5-v0")


def remembering(env_id: str, history: int) -> EnvCard:
    card = find_env_card(env_id)
    assert card is not None
    return replace(card, history=history)


def written(tmp_path: Path, history: int) -> Path:
    """FrozenLake's card with a history, as a user would write it."""
    found = find_env_card("FrozenLake-v1")
    assert found is not None
    path = tmp_path / "card.toml"
    path.write_text(f"history = {history}\n" + Path(found.file).read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_exact_words_oldest_first() -> None:
    say = rmgym.textualizer("MountainCar-v0", history=2)
    a, b, c, d = [-0.5, 0.0], [-0.501, -0.001], [-0.503, -0.002], [-0.506, -0.003]
    begins, ends = say.describe(a, 0, b), say.describe(c, 2, d, past=[(d, 2), (a, 0), (b, 1)])
    task, rest = begins.split(" The episode begins here. ")
    assert rest.startswith("State: position in m: -0.5000")
    assert ends.startswith(
        f"{task} Earlier steps, the oldest first: position in m: -0.5000, velocity in cm/step: 0.000; action: "
        "accelerate: to the left; then position in m: -0.5010, velocity in cm/step: -0.100; action: accelerate: "
        "not at all. State: position in m: -0.5030"
    ), ends
    chinese = rmgym.textualizer("MountainCar-v0", history=2, language="zh").describe(c, 2, d, past=[(a, 0)])
    assert "先前的步骤" in chinese


@pytest.mark.parametrize("env_id", ROADS)
def test_a_batch_says_what_single_steps_say_and_stops_at_the_episode(env_id: str) -> None:
    steps = rmgym.collect(env_id, 60, reset_every=7, seed=3, progress=False)
    say = rmgym.textualizer(env_id, history=3)
    plain = rmgym.textualizer(env_id)
    texts, order = say.batch(steps).strings(), np.random.default_rng(0).permutation(60)
    assert say.batch(steps[order]).strings() == [texts[i] for i in order]
    assert rmgym.textualizer(env_id, history=0).batch(steps).strings() == plain.batch(steps).strings()
    for row, text in enumerate(texts):
        k = min(3, int(steps.step[row]))
        past = [one(steps, i)[:2] for i in range(row - k, row)]
        assert say.describe(*one(steps, row), past=past) == text
        assert text.count("; action: ") == k
        assert ("The episode begins here" in text) == (k == 0)


def one(steps: Transitions, row: int) -> tuple[Any, Any, Any, bool, bool]:
    def value(tree: Any) -> Any:
        return {key: leaf[row] for key, leaf in tree.items()} if isinstance(tree, dict) else tree[row]

    return (
        value(steps.obs),
        steps.action[row],
        value(steps.next_obs),
        bool(steps.terminated[row]),
        bool(steps.truncated[row]),
    )


@pytest.mark.parametrize("env_id", ROADS)
def test_every_wrapper_scores_the_text_of_whole_episodes(env_id: str) -> None:
    card, model, length = remembering(env_id, 2), ToyReward(), 80

    def env() -> gym.Env[Any, Any]:
        # FrozenLake's episodes end by themselves; SB3 does not tell a fall at the time limit itself from another fall.
        return gym.make(env_id, max_episode_steps=100 if env_id == "FrozenLake-v1" else 9)

    def shown() -> gym.Env[Any, Any]:
        return for_policy(env(), card.policy_wrappers)

    actions = np.random.default_rng(1).integers(0, 2, length)
    single = rmgym.LearnedRewardWrapper(env(), model, card=card)
    obs, _ = single.reset(seed=5)
    rewards, rows, episode = [], [], 0
    for action in actions:
        after, reward, terminated, truncated, _ = single.step(action)
        rows.append((obs, action, after, terminated, truncated, episode))
        rewards.append(reward)
        obs = after
        if terminated or truncated:
            obs, _ = single.reset()
            episode += 1
    assert episode > 3
    space = single.observation_space
    before, after = (stack(space, [row[i] for row in rows]) for i in (0, 2))
    which = np.array([row[5] for row in rows])
    step = np.concatenate([np.arange(n) for n in np.bincount(which)])
    flags = [row[3] for row in rows], [row[4] for row in rows]
    steps = Transitions.from_arrays(before, actions, after, *flags, episode=which, step=step)
    expected = model.predict(rmgym.textualizer(single, card=card).batch(steps)).mean
    np.testing.assert_allclose(rewards, expected, rtol=1e-5)

    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        vector = rmgym.LearnedRewardVectorWrapper(SyncVectorEnv([env] * 2, autoreset_mode=mode), model, card=card)
        vector.reset(seed=[5, 5])
        said, t = list[float](), 0
        while len(said) < length:
            reward, infos = vector.step(np.full(2, actions[t]))[1::3]
            if infos["_learned_reward"][0]:
                said.append(float(reward[0]))
                t += 1
        np.testing.assert_allclose(said, expected, rtol=1e-5)
    for when in ("step", "rollout"):
        venv = rmgym.sb3.LearnedRewardVecEnv(DummyVecEnv([shown]), model, card=card, when=when)  # type: ignore[arg-type]
        venv.seed(5)
        venv.reset()
        venv.drain()
        got = [venv.step(np.array([action]))[1][0] for action in actions]
        np.testing.assert_allclose(got if when == "step" else venv.score(venv.drain()), expected, rtol=1e-5)


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_deferred_training_is_that_of_scoring_each_step(tmp_path: Path, algo: str) -> None:
    card, trained = written(tmp_path, 2), []
    for when in ("step", "rollout"):
        agent = rmgym.sb3.make_agent(
            algo, "FrozenLake-v1", reward_model=ToyReward(), when=when, card=card, seed=0, **SMALL[algo]
        )  # type: ignore[arg-type]
        trained.append(parameters(agent.learn(300)))
    np.testing.assert_array_equal(*trained)


def test_the_card_decides_and_its_hash_tells(tmp_path: Path) -> None:
    say = rmgym.textualizer("FrozenLake-v1", card=written(tmp_path, 2))
    assert say.card.history == 2
    assert say.card_hash == rmgym.textualizer("FrozenLake-v1", history=2).card_hash
    assert len({rmgym.textualizer("FrozenLake-v1", history=k).card_hash for k in range(4)}) == 4
    assert ScoreTable.of(say) is None  # numbers of one step do not tell its text
    steps = rmgym.collect("FrozenLake-v1", 50, progress=False)
    again = Transitions.load(steps.save(tmp_path / "steps.parquet"))
    assert say.batch(again).strings() == say.batch(steps).strings()


def test_steps_torn_out_of_their_episode_are_refused() -> None:
    say = rmgym.textualizer("FrozenLake-v1", history=2)
    steps = rmgym.collect("FrozenLake-v1", 20, reset_every=5, progress=False)
    with pytest.raises(TextError, match="without step 1"):
        say.batch(steps[np.flatnonzero(steps.step == 2)[:1]])
    short = {"there": np.zeros(20, bool), "obs": steps.obs, "action": steps.action}
    with pytest.raises(TextError, match="1 steps before each instead of 2"):
        say.batch(replace(steps, past=(short,)))


def test_a_layout_of_ones_own_says_where_the_history_stands() -> None:
    card = remembering("FrozenLake-v1", 1)
    own = "{task} Now: {state}. Do: {action}. Then: {next_state}. {ending}."
    with pytest.raises(CardError, match=r"\{history\}"):
        rmgym.textualizer("FrozenLake-v1", card=replace(card, text={"en": own}))
    say = rmgym.textualizer("FrozenLake-v1", card=replace(card, text={"en": own.replace("Now", "{history}Now")}))
    assert "The episode begins here. Now: " in say.describe(0, 1, 4)


def test_people_are_shown_it_apart() -> None:
    card = remembering("FrozenLake-v1", 1)
    text = rmgym.textualizer("FrozenLake-v1", card=card).describe(4, 1, 8, past=[(0, 1)])
    read = StepReader(card, "en").read(text)
    assert read is not None
    assert read.history.startswith("Earlier steps, the oldest first: ")
    assert "Earlier" not in read.task
    plain = StepReader(find_env_card("FrozenLake-v1"), "en").read(rmgym.textualizer("FrozenLake-v1").describe(4, 1, 8))
    assert plain is not None
    assert plain.history == ""
