"""Stable-Baselines3 agents from cards, trained on a learned reward that they remember."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cloudpickle
import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space

from rmgym.cards import find_agent_card
from rmgym.composition import Composition
from rmgym.distillation.student_options import StudentOptions
from rmgym.environments.raw_observation import policy_layers
from rmgym.errors import RunError
from rmgym.sb3.deferred import attach, current, defer, refuse
from rmgym.sb3.environments import describe, make_training_env, split
from rmgym.sb3.evaluation import load_as_trained
from rmgym.sb3.hyperparameters import algorithm_class, constructor_arguments, set_up
from rmgym.sb3.layers import NORMALIZED
from rmgym.sb3.reward_settings import Settings
from rmgym.sb3.spec import check_digest, describe_reward, remember, spec_of
from rmgym.specs import AgentSpec, EnvSpec, When
from rmgym.threads import warn_if_crowded
from rmgym.trees import Space
from rmgym.wrappers.source import Model, is_true, load

Agent: TypeAlias = BaseAlgorithm
"""Any agent of Stable-Baselines3 or sb3-contrib."""


def make_agent(
    algo: str | os.PathLike[str],
    env_id: str | EnvSpec,
    *,
    reward_model: Model,
    seed: int = 0,
    when: When = "rollout",
    student: StudentOptions | Mapping[str, object] | Literal[True] | None = None,
    env_kwargs: Mapping[str, object] | None = None,
    fixed_horizon: int | None = None,
    card: str | os.PathLike[str] | None = None,
    language: str = "en",
    n_envs: int | None = None,
    total_steps: int | None = None,
    composition: Composition | Mapping[str, object] | None = None,
    tensorboard_log: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    verbose: int = 0,
    **hyperparameters: Any,
) -> BaseAlgorithm:
    """Make an agent that trains on a learned reward, set up by its card.

    The chain is ``Monitor`` (innermost: ``ep_rew_mean`` is the true return), :class:`LearnedRewardVecEnv`, and
    ``VecNormalize(norm_reward=False)`` where the card says so. ``agent.rmgym`` says what it was made of
    (:class:`rmgym.specs.AgentSpec` as JSON); it is saved with the agent.

    Args:
        algo: name of an agent card, or the path of one.
        env_id: Gymnasium id; or a spec, in place of ``env_kwargs``, ``fixed_horizon``, ``card`` and ``language``.
        reward_model: a folder, hub id, control's name or model; ``"true"`` passes the true reward through.
        seed: of everything that is drawn, also of the control ``"random"``.
        when: ``"rollout"`` scores whole rollouts (PPO) or blocks of new steps (DQN) in one batch; ``"step"`` asks the
            model at every vector step. A deterministic model gives the same agent either way.
        student: a fast model that stands in for a slow one and is checked against it on every rollout: True, or
            options of :class:`rmgym.Student`.
        env_kwargs: arguments of ``gymnasium.make``.
        fixed_horizon: let every training episode last so many steps (:class:`rmgym.FixedHorizonWrapper`); evaluation
            is in the environment as it is.
        card: path of an environment card; by default the installed one that fits.
        language: language of the texts.
        n_envs: number of parallel environments, instead of the card's.
        total_steps: training length kept in ``agent.rmgym``, instead of the card's; ``learn`` takes its own.
        composition: how the reward is put together; by default it is the learned one.
        tensorboard_log: folder for TensorBoard events.
        device: torch device of the policy.
        verbose: as in SB3.
        hyperparameters: arguments of the algorithm, over the card's.

    Raises:
        CardError: there is no such card, or it holds a hyperparameter that the algorithm does not take.
        RunError: an unknown environment or hyperparameter.
        ModelError: there is no such model, or it was fitted for another card.
    """
    if isinstance(env_id, EnvSpec):
        env = env_id
    else:
        where = None if card is None else str(Path(card).resolve())
        env = EnvSpec(id=env_id, kwargs=env_kwargs or {}, horizon=fixed_horizon, card=where, language=language)
    agent_card = find_agent_card(algo)
    setup = set_up(agent_card, env.id, hyperparameters)
    cls = algorithm_class(agent_card.algorithm, str(algo))
    refuse(cls.__name__)
    env = replace(
        env,
        wrappers=env.wrappers or policy_layers(env.id, env.card),
        layers=env.layers or ((NORMALIZED,) if setup.normalize else ()),
    )
    loaded = load(reward_model, seed=seed)
    options = StudentOptions.of(student, seed=seed)
    spec = AgentSpec(
        env=env,
        reward=describe_reward(reward_model, loaded, composition=Composition.of(composition), student=options),
        algo=agent_card.name,
        algorithm=agent_card.algorithm,
        hyperparameters={name: plain_value(value) for name, value in setup.hyperparameters.items()},
        n_envs=setup.n_envs if n_envs is None else n_envs,
        seed=seed,
        total_steps=setup.total_steps if total_steps is None else total_steps,
        when=when,
    )
    if is_true(reward_model):
        spec = replace(spec, when="step")  # there is nothing to score
    venv = make_training_env(spec, loaded)
    arguments = constructor_arguments(setup.hyperparameters, venv.action_space)
    log = None if tensorboard_log is None else str(tensorboard_log)
    arguments |= {"seed": seed, "device": device, "verbose": verbose, "tensorboard_log": log}
    try:
        agent = cls(policy=_policy(agent_card.policy, venv.observation_space), env=venv, **arguments)
    except (AssertionError, MemoryError, TypeError, ValueError) as error:
        raise RunError(
            f"{cls.__name__} can be built for {env.id}",
            got=f"{error}; hyperparameters {setup.hyperparameters}",
            fix="choose an algorithm for this action space, or correct the hyperparameters",
        ) from error
    remember(agent, spec)
    warn_if_crowded()
    if spec.when == "rollout":
        attach(agent)
    return agent


def score_rollouts(
    agent: BaseAlgorithm,
    model: Model,
    *,
    card: str | os.PathLike[str] | None = None,
    language: str | None = None,
    composition: Composition | Mapping[str, object] | None = None,
    student: StudentOptions | Mapping[str, object] | Literal[True] | None = None,
) -> None:
    """Make an existing PPO, A2C, DQN or SAC agent train on a learned reward, scored in batches.

    It gets a chain of environments of its own, ``agent.get_env()``: the wrappers of its old one, which stays as it is,
    around the innermost ``VecEnv`` with the learned reward. (Statistics of ``VecNormalize`` are shared with the old
    one.) Its buffer is exchanged. Where that was done before, the model is only attached again, after
    ``PPO.load(path, env)`` or ``set_env``. The agent remembers its environment, wrappers included, so that evaluation
    and loading make it again exactly.

    Args:
        agent: an agent with an environment, and without experience if it has a replay buffer.
        model: a folder, hub id, control's name or model.
        card: path of an environment card; by default the agent's, or the installed one that fits.
        language: language of the texts; by default the agent's, or ``"en"``.
        composition: how the reward is put together; by default as it was, or the learned one.
        student: see :func:`make_agent`.

    Raises:
        RunError: the agent cannot be changed so, has other settings already, or its environment could not be made
            again. The agent is as it was.
        ModelError: there is no such model, or it was fitted for another card.
    """
    before = spec_of(agent)
    has_reward = split(agent.env)[1] is not None
    loaded = load_as_trained(agent, model) if has_reward else load(model, seed=agent.seed)
    where = None if card is None else str(Path(card).resolve())
    settings = Settings(
        card=where,
        language=language,
        composition=None if composition is None else Composition.of(composition),
        student=StudentOptions.of(student, seed=agent.seed or 0),
    )
    if before is not None:
        check_digest(before.reward, loaded, "this agent")
        settings = settings.kept(before)
    if agent.env is None:
        raise RunError("deferred scoring needs an agent with an environment", got="none", fix="call set_env() first")
    env = describe(agent.env, card=settings.card, language=settings.language)
    deferral = defer(agent, loaded, settings)
    if before is None:
        name = type(agent).__name__
        before = AgentSpec(
            env=env,
            reward=describe_reward(
                model,
                loaded,
                composition=deferral.learned.composition,
                student=None if deferral.learned.student is None else deferral.learned.student.options,
            ),
            algo=name.lower(),
            algorithm=f"{type(agent).__module__.partition('.')[0]}.{name}",
            n_envs=agent.n_envs,
            seed=agent.seed,
        )
    deferral.apply(agent)  # the first change: whatever is refused leaves the agent as it was
    remember(agent, before)
    warn_if_crowded()


def exchange_reward_model(
    agent: BaseAlgorithm, model: Model, *, composition: Composition | Mapping[str, object] | None = None
) -> None:
    """Let an agent go on with another reward model, such as one fitted on newer feedback.

    Rollouts are scored with it from the next one on; a replay buffer is relabelled before it is sampled or saved
    again, so that an agent never learns from a mixture of two rewards.

    Args:
        agent: an agent with deferred scoring (``make_agent``, ``score_rollouts``).
        model: a folder, hub id, control's name or model.
        composition: how the reward is put together from then on; by default as it was.

    Raises:
        RunError: the agent scores per step or not at all, or the composition is impossible; the agent is as it was.
        ModelError: there is no such model, or it was fitted for another card; the agent is as it was.
    """
    env, spec = current(agent), spec_of(agent)
    if env is None:
        raise RunError(
            "a reward model is exchanged where steps are scored in batches",
            got=f"{type(agent).__name__} without deferred scoring",
            fix="call rmgym.sb3.score_rollouts(agent, model) first, or make_agent(..., when='rollout')",
        )
    loaded = load(model, seed=agent.seed)
    env.exchange(loaded, None if composition is None else Composition.of(composition))
    if spec is not None:
        reward = describe_reward(model, loaded, composition=env.composition)
        remember(agent, replace(spec, reward=replace(reward, student=spec.reward.student)))


def _policy(name: str, observation_space: Space) -> str:
    """The policy that a card names, or its form for Dict observations, or for pictures from SB3's 36 x 36 on."""
    kind = "Mlp"
    if isinstance(observation_space, gym.spaces.Dict):
        kind = "MultiInput"
    elif is_image_space(observation_space) and min((observation_space.shape or (0,))[:2]) >= 36:
        kind = "Cnn"
    return {"MlpPolicy": f"{kind}Policy", "MlpLstmPolicy": f"{kind}LstmPolicy"}.get(name, name)


def plain_value(value: Any) -> Any:
    """A JSON-able value as it is, another one as text: SB3 saves hyperparameters too, and whole.

    A function's address in memory is another one in every process; what it does is not.
    """
    try:
        json.dumps(value)
    except TypeError:
        text, addresses = re.subn(r" at 0x[0-9a-fA-F]+", "", repr(value))
        return f"{text} {sha256(cloudpickle.dumps(value)).hexdigest()[:16]}" if addresses else text
    return value
