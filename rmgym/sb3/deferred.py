"""Deferred scoring for SB3 agents: the right buffer in the agent, the recording environment under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv, VecEnvWrapper, VecFrameStack, VecNormalize

from rmgym.errors import RunError
from rmgym.sb3.buffers import DEFERRED, UNNORMALISED, DeferredBuffer
from rmgym.sb3.environments import split
from rmgym.sb3.reward_settings import Settings
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


@dataclass(frozen=True)
class Deferral:
    """What deferred scoring makes of an agent, checked before anything of the agent is changed.

    Attributes:
        env: the agent's chain of environments, the recording one in it.
        learned: the recording environment.
        buffer: class of the buffer that takes over the agent's; None where it has one that scores.
    """

    env: VecEnv
    learned: LearnedRewardVecEnv
    buffer: type[DeferredBuffer] | None

    def apply(self, agent: BaseAlgorithm) -> None:
        """Change the agent."""
        if agent.env is not self.env:
            agent.set_env(self.env)  # the environment is reset before the next step, so that it is recorded whole
        if self.buffer is not None:
            _exchange_buffer(agent, self.buffer)
        _buffer(agent).attach(self.learned)


def attach(agent: BaseAlgorithm) -> None:
    """Give an agent a buffer that scores, and connect it with the environment that records.

    Raises:
        RunError: the agent has no such environment, normalises rewards that are not there yet, has experience
            with other rewards, or has a buffer that cannot score afterwards.
    """
    _, learned = split(agent.env)
    if agent.env is None or learned is None:
        raise _records_nothing(agent)
    _plan(agent, agent.env, learned).apply(agent)


def _plan(agent: BaseAlgorithm, env: VecEnv, learned: LearnedRewardVecEnv) -> Deferral:
    """What connects an agent with an environment that records.

    Raises:
        RunError: see :func:`attach`.
    """
    if learned.when != "rollout" or learned.reward != "learned":
        raise _records_nothing(agent)
    above, _ = split(env)
    if any(isinstance(layer, VecNormalize) and layer.norm_reward for layer in above):
        raise RunError(UNNORMALISED, got=_show(agent), fix="pass norm_reward=False to VecNormalize")
    if any(isinstance(layer, VecCheckNan) for layer in above):
        raise RunError(
            "VecCheckNan reads rewards, which are not there before the rollout is scored",
            got=_show(agent),
            fix="put it inside, around the plain environments: scoring refuses NaN in its own right",
        )
    return Deferral(env, learned, None if is_deferred(agent) else _deferred_class(agent))


def _records_nothing(agent: BaseAlgorithm) -> RunError:
    return RunError(
        "deferred scoring needs an environment that records steps",
        got=f"{type(agent).__name__} in {_show(agent)}",
        fix="wrap it: LearnedRewardVecEnv(venv, model, when='rollout')",
    )


def is_deferred(agent: BaseAlgorithm) -> bool:
    """Whether an agent's buffer scores afterwards."""
    return isinstance(_buffer(agent), DeferredBuffer)


def learned_env(agent: BaseAlgorithm) -> LearnedRewardVecEnv | None:
    """The learned reward in an agent's chain of environments, if there is one."""
    return split(agent.env)[1]


def finished_returns(agent: BaseAlgorithm) -> tuple[list[float], list[float]]:
    """Learned and composed returns of training episodes that ended lately, as a deferred buffer scored them.

    The composed ones are there where a composition is set; without deferred scoring there are none.
    """
    buffer = _buffer(agent)
    if not isinstance(buffer, DeferredBuffer) or not hasattr(buffer, "learned_returns"):
        return [], []
    return list(buffer.learned_returns.finished), list(buffer.composed_returns.finished)


def current(agent: BaseAlgorithm) -> LearnedRewardVecEnv | None:
    """The environment that scores an agent's steps afterwards; None where the agent has no such thing.

    Raises:
        PlaceholderRewardError: another agent was attached to it since.
    """
    env = learned_env(agent)
    if env is None or not is_deferred(agent):
        return None
    _buffer(agent).current()
    return env


def defer(agent: BaseAlgorithm, model: Loaded, settings: Settings) -> Deferral:
    """What gives an existing agent the environment and the buffer of deferred scoring, if it does not have them.

    Args:
        agent: an agent with an environment.
        model: the reward model, loaded.
        settings: what the caller says about the reward.

    Raises:
        RunError: the agent scores otherwise, has experience already, or has a buffer of its own kind.
        ModelError: the model was fitted for another card.
    """
    above, learned = split(agent.env)
    assert agent.env is not None  # score_rollouts has seen to it
    if learned is not None:
        if digest_of(learned.loaded) != digest_of(model):
            raise RunError(
                "an agent's environment keeps its reward model",
                got=f"{name_of(learned.loaded)!r} with digest {digest_of(learned.loaded)} in {_show(agent)}",
                fix="say so with rmgym.sb3.exchange_reward_model(agent, model), or make a new agent"
                if is_deferred(agent)
                else "pass the environment's own model, or make the environment with this one",
            )
        settings.refuse_others(learned)
        return _plan(agent, agent.env, learned)
    learned = LearnedRewardVecEnv(
        above[-1],
        model,
        when="rollout",
        card=settings.card,
        language=settings.language or "en",
        composition=settings.composition,
        student=settings.student,
    )
    return _plan(agent, _around(learned, above[:-1]), learned)


def _around(env: VecEnv, wrappers: Sequence[VecEnv]) -> VecEnv:
    """The same wrappers (outermost first) around another environment; the caller's own stay where they are.

    What a wrapper refers to is shared, such as the statistics of ``VecNormalize``, which its owner may save; stacked
    frames are not.
    """
    for wrapper in reversed(wrappers):
        again = object.__new__(type(wrapper))
        vars(again).update({**vars(wrapper), "venv": env})
        if isinstance(again, VecFrameStack):
            again.stacked_obs = deepcopy(again.stacked_obs)
        env = again
    return env


def _exchange_buffer(agent: BaseAlgorithm, deferred: type[DeferredBuffer]) -> None:
    """Let a deferred buffer take over SB3's, here and where the agent is loaded."""
    buffer: Any = deferred.take_over(_buffer(agent))
    kind: Any = deferred
    if isinstance(agent, OnPolicyAlgorithm):
        agent.rollout_buffer_class = kind  # RecurrentPPO ignores it: there attach() does this again after loading
        agent.rollout_buffer = buffer
    elif isinstance(agent, OffPolicyAlgorithm):
        agent.replay_buffer_class = kind
        agent.replay_buffer = buffer
        agent.n_steps = 1  # the buffer's arguments have it; SB3 warns at loading where it is said twice


def _deferred_class(agent: BaseAlgorithm) -> type[DeferredBuffer]:
    """What takes the place of an agent's buffer, which is of exactly SB3's class.

    Raises:
        RunError: nothing does, or the buffer holds other rewards.
    """
    buffer = _buffer(agent)
    kind: type[Any] = type(buffer)
    replacements: Mapping[type[Any], type[DeferredBuffer]] = DEFERRED
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
    if isinstance(agent, OffPolicyAlgorithm) and buffer.size():
        raise RunError(
            "a replay buffer holds rewards of one kind",
            got=f"{buffer.size()} steps with other rewards",
            fix="attach the reward model before training",
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
