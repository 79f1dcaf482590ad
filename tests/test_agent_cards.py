"""Our agent cards name arguments that Stable-Baselines3 has, with values that it takes."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from rmgym.cards import AgentCard, EnvironmentOverride, env_cards, find_agent_card, load_agent_card
from rmgym.environments.make import register
from rmgym.sb3 import make_agent

FILES = sorted((Path(__file__).parent.parent / "agents").glob("*.toml"))
CARDS = [load_agent_card(file) for file in FILES]
OVERRIDES = [(card, override) for card in CARDS for override in card.environment]
NAMES = [f"{card.name}-{override.id}" for card, override in OVERRIDES]
assert register("MiniGrid-Empty-5x5-v0")
ENVIRONMENTS = [card.id for card in env_cards() if "*" not in card.id]
EXAMPLES = {"MiniGrid-*": "MiniGrid-DoorKey-5x5-v0", "LunarLander*-v3": "LunarLander-v3"}


def class_of(card: AgentCard) -> Any:
    module, _, name = card.algorithm.rpartition(".")
    return getattr(importlib.import_module(module), name)


def settings(card: AgentCard, override: EnvironmentOverride | None) -> dict[str, Any]:
    """Constructor arguments; schedules as the constant they start from."""
    said = {**card.hyperparameters, **(override.hyperparameters if override else {})}
    return {k: float(v.removeprefix("linear:")) if isinstance(v, str) else v for k, v in said.items()}


def test_these_algorithms_have_a_card() -> None:
    names = ["a2c", "dqn", "ppo", "qrdqn", "sac", "td3", "tqc"]
    assert [card.name for card in CARDS] == names
    assert [file.stem for file in FILES] == names
    assert [class_of(card).__name__ for card in CARDS] == [name.upper() for name in names]


@pytest.mark.parametrize(("card", "override"), OVERRIDES, ids=NAMES)
def test_every_hyperparameter_is_an_argument_of_the_constructor(card: AgentCard, override: EnvironmentOverride) -> None:
    known = inspect.signature(class_of(card).__init__).parameters
    assert set(settings(card, override)) <= set(known) - {"self", "policy", "env", "seed", "device", "verbose"}


@pytest.mark.parametrize(("card", "override"), OVERRIDES, ids=NAMES)
def test_the_settings_say_where_they_come_from(card: AgentCard, override: EnvironmentOverride) -> None:
    assert card.source
    assert override.source


@pytest.mark.parametrize(("card", "override"), OVERRIDES, ids=NAMES)
def test_strings_are_linear_schedules(card: AgentCard, override: EnvironmentOverride) -> None:
    for key, value in {**card.hyperparameters, **override.hyperparameters}.items():
        if isinstance(value, str):
            assert key in ("learning_rate", "clip_range")
            assert value.startswith("linear:")
            assert 0 < float(value.removeprefix("linear:")) < 1


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
@pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])
def test_settings_of_their_own_say_how_long(card: AgentCard, env_id: str) -> None:
    override = card.override_for(env_id)
    if card.name in ("dqn", "qrdqn") and not isinstance(gym.make(env_id).action_space, gym.spaces.Discrete):
        assert override is None
    if override is not None:
        assert override.total_steps is not None


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_every_carded_environment_has_an_algorithm_with_settings_of_its_own(env_id: str) -> None:
    assert any(card.override_for(env_id) is not None for card in CARDS) or env_id == "Blackjack-v1"


@pytest.mark.parametrize(("card", "override"), OVERRIDES, ids=NAMES)
def test_the_agent_can_be_made_and_acts(card: AgentCard, override: EnvironmentOverride) -> None:
    env_id = EXAMPLES.get(override.id, override.id.replace("*", ""))
    agent = make_agent(card.name, env_id, reward_model="random", seed=0)
    actions, _ = agent.predict(agent.env.reset())
    assert all(agent.action_space.contains(action) for action in actions)
    for key, value in settings(card, override).items():
        if key in ("action_noise", "policy_kwargs", "use_rms_prop") or (key == "n_steps" and not hasattr(agent, key)):
            continue
        held = getattr(agent, key)
        if key in ("clip_range", "learning_rate") and callable(held):
            held = held(1.0)
        if key == "train_freq":
            held = held.frequency
        assert held == value, key
    for key, value in settings(card, override).get("policy_kwargs", {}).items():
        held = agent.policy_kwargs[key]
        assert held == (torch.nn.ReLU if value == "relu" else value), key
    agent.env.close()


def test_published_settings() -> None:
    """Spot checks against the tuned entries of rl-zoo."""
    ppo, dqn = find_agent_card("ppo"), find_agent_card("dqn")
    pendulum = ppo.override_for("Pendulum-v1")
    assert pendulum is not None
    assert (pendulum.n_envs, pendulum.hyperparameters["n_steps"]) == (4, 1024)
    assert pendulum.hyperparameters["use_sde"] is True
    assert settings(ppo, pendulum)["sde_sample_freq"] == 4
    cartpole = ppo.override_for("CartPole-v1")
    assert cartpole is not None
    assert cartpole.hyperparameters["learning_rate"] == "linear:1e-3"
    assert cartpole.hyperparameters["clip_range"] == "linear:0.2"
    deep = dqn.override_for("CartPole-v1")
    assert deep is not None
    assert deep.hyperparameters["policy_kwargs"] == {"net_arch": [256, 256]}
    for env_id in ("FrozenLake-v1", "FrozenLake8x8-v1"):
        lake = dqn.override_for(env_id)
        assert lake is not None
        assert lake.hyperparameters["policy_kwargs"] == {"net_arch": [64, 64]}
        assert isinstance(gym.make(env_id).observation_space, gym.spaces.Discrete)
