"""Deferred scoring for SB3 agents: the right buffer in the agent, the recording environment under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize

from rmgym.errors import RunError
from rmgym.sb3.buffers import DEFERRED, DeferredBuffer
from rmgym.sb3.environments import split
from rmgym.sb3.learned_returns import LearnedReturns
from rmgym.sb3.vec_env import LearnedRewardVecEnv
from rmgym.wrappers.source import Loaded, digest_of, name_of

_REFUSED = {
    "HerReplayBuffer": (
        "every reward that an agent learns from is the learned one; HER computes those of its virtual steps with the "
        "environment's own compute_reward",
        "use a replay buffer that keeps its steps as they were: leave replay_buffer_class out",
    ),
    "ARS": (
        "every reward that an agent learns from is the learned one; ARS ranks its candidates by the returns that "
        "Monitor reports, the true ones",
        "choose an algorithm with a rollout or replay buffer, such as ppo or sac",
    ),
}
"""By name of an algorithm or a buffer: why it cannot train on a learned reward, and what to do."""


def refuse(name: str) -> None:
    """Refuse an algorithm or a buffer that would train on the true reward, by name.

    Raises:
        RunError: it is one of them.
    """
    if name in _REFUSED:
        why, fix = _REFUSED[name]
        raise RunError(why, got=name, fix=fix)


def attach(agent: BaseAlgorithm) -> None:
    """Give an agent a buffer that scores, and connect it with the environment that records.

    Raises:
        RunError: the agent has no such environment, normalises rewards that are not there yet, has experience
            with other rewards, or has a buffer that cannot score afterwards.
    """
    above, learned = split(agent.env)
    if learned is None or learned.when != "rollout":
        raise RunError(
            "deferred scoring needs an environment that records steps",
            got=f"{type(agent).__name__} in {_show(agent)}",
            fix="wrap it: LearnedRewardVecEnv(venv, model, when='rollout')",
        )
    if any(isinstance(layer, VecNormalize) and layer.norm_reward for layer in above):
        raise RunError(
            "rewards that are scored after the rollout cannot be normalised during it",
            got=_show(agent),
            fix="pass norm_reward=False to VecNormalize",
        )
    if not is_deferred(agent):
        _exchange_buffer(agent)
    _buffer(agent).attach(learned)
    learned.drain()  # says that someone takes the steps; earlier ones are not this agent's


def is_deferred(agent: BaseAlgorithm) -> bool:
    """Whether an agent's buffer scores afterwards."""
    return isinstance(_buffer(agent), DeferredBuffer)


def learned_env(agent: BaseAlgorithm) -> LearnedRewardVecEnv | None:
    """The learned reward in an agent's chain of environments, if there is one."""
    return split(agent.env)[1]


def learned_returns(agent: BaseAlgorithm) -> list[float]:
    """Learned returns of training episodes that ended lately, as a deferred buffer scored them; else none."""
    returns: LearnedReturns | None = getattr(_buffer(agent), "learned_returns", None)
    return [] if returns is None else list(returns.finished)


def defer(agent: BaseAlgorithm, model: Loaded, **options: Any) -> LearnedRewardVecEnv:
    """Give an existing agent the environment and the buffer of deferred scoring, if it does not have them.

    Args:
        agent: an agent with an environment.
        model: the reward model, loaded.
        options: ``card``, ``language``, ``composition``, ``student`` of :class:`LearnedRewardVecEnv`.

    Returns:
        The recording environment.

    Raises:
        RunError: the agent scores with another model, has experience already, or has a buffer of its own kind.
    """
    _, learned = split(agent.env)
    if learned is None:
        learned = _record_below(agent, model, **options)
    elif digest_of(learned.loaded) != digest_of(model):
        raise RunError(
            "an agent's environment keeps its reward model",
            got=f"{name_of(learned.loaded)!r} with digest {digest_of(learned.loaded)} in {_show(agent)}",
            fix="say so with rmgym.sb3.exchange_reward_model(agent, model), or make a new agent",
        )
    elif options.get("student") is not None and learned.student is None:
        raise RunError(
            "a student stands in from an agent's beginning",
            got=f"{type(agent).__name__}, whose environment scores with the model itself",
            fix="make the environment with it: LearnedRewardVecEnv(venv, model, when='rollout', student=...)",
        )
    attach(agent)
    return learned


def _record_below(agent: BaseAlgorithm, model: Loaded, **options: Any) -> LearnedRewardVecEnv:
    """Wrap the innermost VecEnv, where observations are raw."""
    above, _ = split(agent.env)
    if agent.env is None:
        raise RunError("deferred scoring needs an agent with an environment", got="none", fix="call set_env() first")
    base = above[-1]
    learned = LearnedRewardVecEnv(base, model, when="rollout", **options)
    if len(above) == 1:
        agent.set_env(learned)
    else:
        above[-2].venv = learned  # type: ignore[attr-defined]  # all but the last are wrappers
        agent._last_obs = None  # as set_env() does: reset before the next step, so that it is recorded whole
    return learned


def _exchange_buffer(agent: BaseAlgorithm) -> None:
    """Let a deferred buffer take over SB3's, here and where the agent is loaded."""
    buffer = _buffer(agent)
    deferred = _deferred_class(agent, buffer)
    if isinstance(agent, OnPolicyAlgorithm):
        agent.rollout_buffer_class = deferred  # RecurrentPPO ignores it: there attach() does this again after loading
        agent.rollout_buffer = deferred.take_over(buffer)
    elif isinstance(agent, OffPolicyAlgorithm):
        if buffer.size():
            raise RunError(
                "a replay buffer holds rewards of one kind",
                got=f"{buffer.size()} steps with other rewards",
                fix="attach the reward model before training",
            )
        agent.replay_buffer_class = deferred
        agent.replay_buffer = deferred.take_over(buffer)
        agent.n_steps = 1  # the buffer's arguments have it; SB3 warns at loading where it is said twice


def _deferred_class(agent: BaseAlgorithm, buffer: BaseBuffer | None) -> Any:
    """What takes the place of a buffer of exactly this class.

    Raises:
        RunError: nothing does.
    """
    kind: type[Any] = type(buffer)
    replacements: Mapping[type[Any], type[BaseBuffer]] = DEFERRED
    if kind.__module__.startswith("sb3_contrib."):
        from rmgym.sb3.contrib_buffers import DEFERRED as replacements
    for name in (type(agent).__name__, kind.__name__):
        refuse(name)
    if kind not in replacements:
        raise RunError(
            "deferred scoring takes the place of a buffer that SB3 or sb3-contrib has",
            got=f"{type(agent).__name__} with {kind.__name__}",
            fix="let the agent make its own buffer, or score per step: when='step'",
        )
    return replacements[kind]


def _buffer(agent: BaseAlgorithm) -> Any:
    return getattr(agent, "rollout_buffer", None) or getattr(agent, "replay_buffer", None)


def _show(agent: BaseAlgorithm) -> str:
    """The chain of an agent's environment, such as ``VecNormalize(DummyVecEnv)``."""
    names, layer = list[str](), agent.env
    while layer is not None:
        names.append(type(layer).__name__)
        layer = layer.venv if isinstance(layer, VecEnvWrapper) else None
    return "(".join(names) + ")" * (len(names) - 1) if names else "no environment"
