"""Deferred scoring for SB3 agents: the right buffer in the agent, the recording environment under it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from rmgym.errors import HarnessError
from rmgym.harness.buffers import DeferredNStepReplayBuffer, DeferredReplayBuffer, DeferredRolloutBuffer, LearnedReturns
from rmgym.models.registry import load_reward_model
from rmgym.wrappers.sb3_vec_env import LearnedRewardVecEnv
from rmgym.wrappers.source import Model


def buffer_arguments(cls: type[BaseAlgorithm], said: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments with the deferred buffer that an algorithm needs.

    Raises:
        HarnessError: the algorithm's buffer cannot be chosen.
    """
    parameters = inspect.signature(cls).parameters
    if "rollout_buffer_class" in parameters:
        return {**said, "rollout_buffer_class": DeferredRolloutBuffer}
    if "replay_buffer_class" not in parameters:
        raise HarnessError("this algorithm has a buffer of its own", got=cls.__name__, fix="pass when='step'")
    n_steps = said.get("n_steps", 1)
    if n_steps == 1:
        return {**said, "replay_buffer_class": DeferredReplayBuffer}
    # SB3 ignores n_steps (with a warning) where a buffer class is given, and takes it from the buffer's arguments.
    return {
        **{name: value for name, value in said.items() if name != "n_steps"},
        "replay_buffer_class": DeferredNStepReplayBuffer,
        "replay_buffer_kwargs": {"n_steps": n_steps, "gamma": said.get("gamma", parameters["gamma"].default)},
    }


def attach(agent: BaseAlgorithm) -> None:
    """Connect an agent's deferred buffer with the environment that records and scores.

    Raises:
        HarnessError: the agent has no such environment or buffer, or normalises rewards that are not there yet.
    """
    above, learned = _find(agent)
    if learned is None or learned.when != "rollout":
        raise HarnessError(
            "deferred scoring needs an environment that records steps",
            got=f"{type(agent).__name__} in {_show(agent)}",
            fix="wrap it: LearnedRewardVecEnv(venv, model, when='rollout')",
        )
    if any(isinstance(layer, VecNormalize) and layer.norm_reward for layer in above):
        raise HarnessError(
            "rewards that are scored after the rollout cannot be normalised during it",
            got=_show(agent),
            fix="pass norm_reward=False to VecNormalize",
        )
    buffer = _buffer(agent)
    if not isinstance(buffer, DeferredRolloutBuffer | DeferredReplayBuffer):
        raise HarnessError(
            "deferred scoring needs a buffer that scores",
            got=type(buffer).__name__,
            fix="make the agent with rmgym.sb3.make_agent, or call rmgym.sb3.score_rollouts(agent, model)",
        )
    buffer.attach(learned)
    learned.drain()  # says that someone takes the steps; earlier ones are not this agent's


def is_deferred(agent: BaseAlgorithm) -> bool:
    """Whether an agent's buffer scores afterwards."""
    return isinstance(_buffer(agent), DeferredRolloutBuffer | DeferredReplayBuffer)


def learned_env(agent: BaseAlgorithm) -> LearnedRewardVecEnv | None:
    """The learned reward in an agent's chain of environments, if there is one."""
    return _find(agent)[1]


def learned_returns(agent: BaseAlgorithm) -> list[float]:
    """Learned returns of training episodes that ended lately, as a deferred buffer scored them; else none."""
    returns: LearnedReturns | None = getattr(_buffer(agent), "learned_returns", None)
    return [] if returns is None else list(returns.finished)


def defer(agent: BaseAlgorithm, model: Model, **options: Any) -> LearnedRewardVecEnv:
    """Give an existing agent the environment and the buffer of deferred scoring, if it does not have them.

    Args:
        agent: an agent with an environment.
        model: the reward model.
        options: ``card``, ``language``, ``composition`` of :class:`LearnedRewardVecEnv`.

    Returns:
        The recording environment.

    Raises:
        HarnessError: the agent scores with another model, has experience already, or has a buffer of its own kind.
    """
    _, learned = _find(agent)
    if learned is None:
        learned = _record_below(agent, model, **options)
    elif learned.model.digest != load_reward_model(model).digest:
        raise HarnessError(
            "an agent's environment keeps its reward model",
            got=f"{learned.model.name!r} with digest {learned.model.digest} in {_show(agent)}",
            fix="set_env() an environment with the other model, or make a new agent",
        )
    if not is_deferred(agent):
        _exchange_buffer(agent)
    attach(agent)
    return learned


def _record_below(agent: BaseAlgorithm, model: Model, **options: Any) -> LearnedRewardVecEnv:
    """Wrap the innermost VecEnv, where observations are raw."""
    above, _ = _find(agent)
    if agent.env is None:
        raise HarnessError(
            "deferred scoring needs an agent with an environment", got="none", fix="call set_env() first"
        )
    base = above[-1]
    learned = LearnedRewardVecEnv(base, model, when="rollout", **options)
    if len(above) == 1:
        agent.set_env(learned)
    else:
        above[-2].venv = learned  # type: ignore[attr-defined]  # all but the last are wrappers
        agent._last_obs = None  # as set_env() does: reset before the next step, so that it is recorded whole
    return learned


def _exchange_buffer(agent: BaseAlgorithm) -> None:
    """Put a deferred buffer of the same size in place of SB3's."""
    buffer = _buffer(agent)
    shape = (agent.observation_space, agent.action_space)
    if isinstance(agent, OnPolicyAlgorithm) and type(buffer) is RolloutBuffer:
        agent.rollout_buffer_class = DeferredRolloutBuffer
        agent.rollout_buffer = DeferredRolloutBuffer(
            agent.n_steps, *shape, agent.device, agent.gae_lambda, agent.gamma, agent.n_envs
        )
    elif isinstance(agent, OffPolicyAlgorithm) and type(buffer) is ReplayBuffer:
        if buffer.size():
            raise HarnessError(
                "a replay buffer holds rewards of one kind",
                got=f"{buffer.size()} steps with other rewards",
                fix="attach the reward model before training",
            )
        agent.replay_buffer_class = DeferredReplayBuffer
        agent.replay_buffer = DeferredReplayBuffer(
            agent.buffer_size,
            *shape,
            agent.device,
            agent.n_envs,
            agent.optimize_memory_usage,
            **agent.replay_buffer_kwargs,
        )
    else:
        raise HarnessError(
            "deferred scoring takes the place of SB3's RolloutBuffer or ReplayBuffer",
            got=type(buffer).__name__,
            fix="make the agent with rmgym.sb3.make_agent, or score per step: LearnedRewardVecEnv(venv, model)",
        )


def _buffer(agent: BaseAlgorithm) -> Any:
    return getattr(agent, "rollout_buffer", None) or getattr(agent, "replay_buffer", None)


def _find(agent: BaseAlgorithm) -> tuple[list[VecEnv], LearnedRewardVecEnv | None]:
    """What is above the learned reward (all there is, if there is none), outermost first, and the learned reward."""
    above, layer = list[VecEnv](), agent.env
    while layer is not None and not isinstance(layer, LearnedRewardVecEnv):
        above.append(layer)
        layer = layer.venv if isinstance(layer, VecEnvWrapper) else None
    return above, layer


def _show(agent: BaseAlgorithm) -> str:
    """The chain of an agent's environment, such as ``VecNormalize(DummyVecEnv)``."""
    names, layer = list[str](), agent.env
    while layer is not None:
        names.append(type(layer).__name__)
        layer = layer.venv if isinstance(layer, VecEnvWrapper) else None
    return "(".join(names) + ")" * (len(names) - 1) if names else "no environment"
