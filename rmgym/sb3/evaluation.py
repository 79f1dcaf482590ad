"""An agent judged in its own environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from rmgym.environments.raw_observation import policy_layers
from rmgym.errors import RunError
from rmgym.evaluation import evaluate as plain
from rmgym.evaluation.policy import Policy
from rmgym.models.controls import RandomReward
from rmgym.sb3.environments import describe, split
from rmgym.sb3.layers import view_of
from rmgym.sb3.spec import spec_of
from rmgym.specs import EnvSpec
from rmgym.wrappers.source import Loaded, Model, load, name_of


def evaluate(
    agent: Policy,
    env: str | EnvSpec | None,
    reward_model: Model,
    *,
    episodes: int = 10,
    seed: int = plain.EVALUATION_SEED,
    env_kwargs: Mapping[str, object] | None = None,
    card: str | os.PathLike[str] | None = None,
    language: str = "en",
    deterministic: bool = True,
) -> plain.Comparison:
    """Play held-out episodes in the true environment and reward each step twice.

    Every episode is played to its end and counts once. Observations are normalised with the agent's own frozen
    statistics if it has some, and stacked as in training. All steps are scored in one batch. No global random state is
    changed.

    Args:
        agent: plays; its action noise is not used.
        env: None for the agent's own environment, wrappers included; or a spec; or a Gymnasium id, which gets the
            wrappers of the agent's own.
        reward_model: a folder, hub id, control's name or model. ``"true"`` repeats the true reward.
        episodes: how many; episode ``i`` is reset with ``seed + i``.
        seed: of the first one.
        env_kwargs: arguments of ``gymnasium.make``, where ``env`` is an id; so are ``card`` and ``language``.
        card: path of an environment card; by default the installed one that fits.
        language: language of the texts.
        deterministic: whether the agent takes its likeliest action.

    Raises:
        RunError: the environment cannot be made, or no episode is asked for.
        ModelError: there is no such model, or it was fitted for another card.
    """
    own = None if isinstance(env, EnvSpec) else own_env(agent)
    if env is None:
        if own is None:
            raise RunError("an evaluation makes its own environments", got="no id", fix="pass env=")
        env = own
    elif isinstance(env, str):
        where = None if card is None else str(Path(card).resolve())
        wrappers = policy_layers(env, card) if own is None else own.wrappers
        env = EnvSpec(id=env, kwargs=env_kwargs or {}, wrappers=wrappers, card=where, language=language)
    return plain.evaluate(
        agent,
        env,
        load_as_trained(agent, reward_model),
        episodes=episodes,
        seed=seed,
        deterministic=deterministic,
        view=view_of(agent),
    )


def load_as_trained(agent: object, model: Model) -> Loaded:
    """A reward model; where the control ``random`` is named, the very one that the agent trains on, if it does.

    Raises:
        ModelError: there is no such model, or it was not fitted.
    """
    learned = split(agent.env)[1] if isinstance(agent, BaseAlgorithm) else None
    if learned is not None and model == name_of(learned.loaded) == RandomReward.name:
        return learned.loaded
    spec = spec_of(agent)
    return load(model, seed=None if spec is None else spec.seed)


def own_env(agent: object) -> EnvSpec | None:
    """The environment that an agent remembers or has; None for another kind of policy, which has none.

    Raises:
        RunError: it was never registered, or a part of it could not be made again.
    """
    if (spec := spec_of(agent)) is not None:
        return spec.env
    if isinstance(agent, BaseAlgorithm) and agent.env is not None:
        return describe(agent.env)
    return None
