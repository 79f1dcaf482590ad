"""Stable-Baselines3 agents from cards, trained on a learned reward that they remember."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space

from rmgym.cards import find_agent_card
from rmgym.errors import HarnessError, nearest
from rmgym.harness.deferred import attach, defer, is_deferred, learned_env, refuse
from rmgym.harness.environments import amortise, env_arguments, identify, make_training_env
from rmgym.harness.hyperparameters import algorithm_class, constructor_arguments, set_up
from rmgym.harness.saving import RECORD, check_digest
from rmgym.harness.threads import warn_if_crowded
from rmgym.models.registry import load_reward_model
from rmgym.scoring.amortised import AmortisedReward, original
from rmgym.wrappers.composition import Composition
from rmgym.wrappers.source import Model


def make_agent(
    algo: str | os.PathLike[str],
    env_id: str,
    *,
    reward_model: Model,
    seed: int = 0,
    when: Literal["rollout", "step", "amortised"] = "rollout",
    tolerance: float | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    fixed_horizon: int | None = None,
    card: str | os.PathLike[str] | None = None,
    language: str = "en",
    n_envs: int | None = None,
    total_steps: int | None = None,
    composition: Composition | Mapping[str, Any] | None = None,
    tensorboard_log: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    verbose: int = 0,
    **hyperparameters: Any,
) -> BaseAlgorithm:
    """Make an agent that trains on a learned reward, set up by its card.

    The chain is ``Monitor`` (innermost: ``ep_rew_mean`` is the true return), :class:`LearnedRewardVecEnv`, and
    ``VecNormalize(norm_reward=False)`` where the card says so. ``agent.rmgym`` says what it was made of; it is saved
    with the agent.

    Args:
        algo: name of an agent card, or the path of one.
        env_id: Gymnasium id.
        reward_model: a folder, hub id, control's name or model; ``"true"`` passes the true reward through.
        seed: of everything that is drawn.
        when: ``"rollout"`` scores whole rollouts (PPO) or blocks of new steps (DQN) in one batch; ``"step"`` asks the
            model at every vector step. A deterministic model gives the same agent either way. ``"amortised"`` scores
            rollouts through a fast student of a slow model, which is checked against it on every rollout
            (:class:`rmgym.AmortisedReward`, which has further options).
        tolerance: of ``when="amortised"``: largest error of the student, in standard deviations of the model's scores;
            0.1 by default, and 0 is the same as ``"rollout"``.
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
        HarnessError: an unknown environment or hyperparameter.
        ModelError: there is no such model, or it was fitted for another card.
    """
    if when not in (known := ("rollout", "step", "amortised")):
        raise HarnessError("'when' is 'rollout', 'step' or 'amortised'", got=when, fix=nearest(when, known))
    if tolerance is not None and when != "amortised":
        raise HarnessError(
            "a tolerance goes with when='amortised'", got=f"when={when!r}", fix="leave it out, or amortise"
        )
    agent_card = find_agent_card(algo)
    setup = set_up(agent_card, env_id, hyperparameters)
    cls = algorithm_class(agent_card.algorithm, str(algo))
    refuse(cls.__name__)
    record: dict[str, Any] = {
        "schema": 1,
        "algo": agent_card.name,
        "class": agent_card.algorithm,
        "env": env_id,
        "env_kwargs": dict(env_kwargs or {}),
        "fixed_horizon": fixed_horizon,
        "n_envs": setup.n_envs if n_envs is None else n_envs,
        "normalize": setup.normalize,
        "hyperparameters": {name: _plain(value) for name, value in setup.hyperparameters.items()},
        "seed": seed,
        "total_steps": setup.total_steps if total_steps is None else total_steps,
        "when": when,
        "tolerance": tolerance,
        "card": str(Path(card).resolve()) if card is not None else None,
        "language": language,
        "composition": Composition.of(composition).to_dict(),
    }
    env = make_training_env(record, reward_model)
    said = constructor_arguments(setup.hyperparameters, env.action_space)
    arguments: dict[str, Any] = {
        "policy": _policy(agent_card.policy, env.observation_space),
        "env": env,
        "seed": seed,
        "device": device,
        "verbose": verbose,
        "tensorboard_log": None if tensorboard_log is None else str(tensorboard_log),
    }
    try:
        agent = cls(**arguments, **said)
    except (AssertionError, TypeError, ValueError) as error:
        raise HarnessError(
            f"{cls.__name__} can be built for {env_id}",
            got=f"{error}; hyperparameters {setup.hyperparameters}",
            fix="choose an algorithm for this action space, or correct the hyperparameters",
        ) from error
    setattr(agent, RECORD, record)
    warn_if_crowded()
    if record["when"] != "step":
        attach(agent)
    return agent


def _policy(name: str, observation_space: gym.Space[Any]) -> str:
    """The policy that a card names, or its form for Dict observations, or for pictures from SB3's 36 x 36 on."""
    kind = "Mlp"
    if isinstance(observation_space, gym.spaces.Dict):
        kind = "MultiInput"
    elif is_image_space(observation_space) and min((observation_space.shape or (0,))[:2]) >= 36:
        kind = "Cnn"
    return {"MlpPolicy": f"{kind}Policy", "MlpLstmPolicy": f"{kind}LstmPolicy"}.get(name, name)


def score_rollouts(
    agent: BaseAlgorithm,
    model: Model,
    *,
    card: str | os.PathLike[str] | None = None,
    language: str = "en",
    composition: Composition | Mapping[str, Any] | None = None,
) -> None:
    """Make an existing PPO, A2C, DQN or SAC agent train on a learned reward, scored in batches.

    Its innermost ``VecEnv`` is wrapped and its buffer exchanged, unless that was done before: then the model is only
    attached again (after ``PPO.load(path, env)`` or ``set_env``).

    Args:
        agent: an agent with an environment, and without experience if it has a replay buffer.
        model: a folder, hub id, control's name or model.
        card: path of an environment card; by default the installed one that fits.
        language: language of the texts.
        composition: how the reward is put together; by default it is the learned one.

    Raises:
        HarnessError: the agent cannot be changed so.
        ModelError: there is no such model, or it was fitted for another card.
    """
    known: dict[str, Any] = getattr(agent, RECORD, {})
    loaded = load_reward_model(model)
    check_digest(known, original(loaded).digest, "this agent")
    env = defer(agent, model, card=card, language=language, composition=composition)
    env_id, kwargs = env_arguments(env)
    record = {
        "schema": 1,
        "algo": type(agent).__name__.lower(),
        "class": f"{type(agent).__module__.partition('.')[0]}.{type(agent).__name__}",
        "env": env_id,
        "env_kwargs": {key: _plain(value) for key, value in kwargs.items()},
        "n_envs": agent.n_envs,
        "normalize": agent.get_vec_normalize_env() is not None,
        "when": "amortised" if isinstance(loaded, AmortisedReward) else "rollout",
        "tolerance": loaded.options.tolerance if isinstance(loaded, AmortisedReward) else None,
        "policy_wrappers": [],
        "card": None if card is None else str(Path(card).resolve()),
        "language": language,
        "composition": env.composition.to_dict(),
        **identify(model),
    }
    setattr(agent, RECORD, {**record, **known})
    warn_if_crowded()


def exchange_reward_model(agent: BaseAlgorithm, model: Model) -> None:
    """Let an agent go on with another reward model, such as one fitted on newer feedback.

    Rollouts are scored with it from the next one on; a replay buffer is relabelled before it is sampled again, so that
    an agent never learns from a mixture of two rewards.

    Args:
        agent: an agent with deferred scoring (``make_agent``, ``score_rollouts``).
        model: a folder, hub id, control's name or model.

    Raises:
        HarnessError: the agent scores per step or not at all.
        ModelError: there is no such model, or it was fitted for another card; the agent is as it was.
    """
    env = learned_env(agent)
    if env is None or not is_deferred(agent):
        raise HarnessError(
            "a reward model is exchanged where steps are scored in batches",
            got=f"{type(agent).__name__} without deferred scoring",
            fix="call rmgym.sb3.score_rollouts(agent, model) first, or make_agent(..., when='rollout')",
        )
    record: dict[str, Any] = getattr(agent, RECORD, {})
    env.exchange(amortise(load_reward_model(model), record) if record.get("when") == "amortised" else model)
    setattr(agent, RECORD, {**record, **identify(model)})


def _plain(value: Any) -> Any:
    """A JSON-able value as it is, another one as text."""
    try:
        json.dumps(value)
    except TypeError:
        return repr(value)
    return value
