"""The vector environments that agents train in: made of specs, and described as such."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from rmgym.environments.build import build_env, describe_env
from rmgym.environments.wrapper_chain import MovedLimit, first_of
from rmgym.errors import RunError
from rmgym.sb3.layers import apply_layers, describe_layers
from rmgym.sb3.vec_env import LearnedRewardVecEnv
from rmgym.specs import AgentSpec, EnvSpec
from rmgym.wrappers.source import Loaded


def make_monitored(env: EnvSpec, n_envs: int, seed: int | None) -> VecEnv:
    """Make ``n_envs`` environments in one process, each in a ``Monitor``: SB3's ``ep_rew_mean`` is the true return.

    Raises:
        RunError: see :func:`rmgym.environments.build.build_env`.
    """
    return make_vec_env(partial(build_env, env), n_envs=n_envs, seed=seed)


def make_training_env(spec: AgentSpec, model: Loaded) -> VecEnv:
    """Make the chain of environments that an agent trains in.

    Args:
        spec: the agent.
        model: its reward model, loaded.

    Raises:
        RunError: an environment cannot be made again, or its observations cannot be normalised.
        ModelError: the model was fitted for another card.
    """
    learned = LearnedRewardVecEnv(
        make_monitored(spec.env, spec.n_envs, spec.seed),
        model,
        when=spec.when,
        card=spec.env.card,
        language=spec.env.language,
        composition=spec.reward.composition,
        student=spec.reward.student,
    )
    return apply_layers(learned, spec.env.layers)


def split(env: VecEnv | None) -> tuple[list[VecEnv], LearnedRewardVecEnv | None]:
    """What is above the learned reward (all there is, if there is none), outermost first, and the learned reward."""
    above, layer = list[VecEnv](), env
    while layer is not None and not isinstance(layer, LearnedRewardVecEnv):
        above.append(layer)
        layer = layer.venv if isinstance(layer, VecEnvWrapper) else None
    return above, layer


def describe(env: VecEnv, *, card: str | None = None, language: str | None = None) -> EnvSpec:
    """What makes an agent's environment again: id, arguments, wrappers, and vector wrappers above the learned reward.

    Args:
        env: the agent's, whole.
        card: path of the environment card in use; by default the learned reward's.
        language: language of the texts; likewise.

    Raises:
        RunError: it was never registered, or a part of it could not be made again.
    """
    above, learned = split(env)
    below = list[VecEnv]()
    layer = above[-1] if learned is None else learned.venv
    while isinstance(layer, VecEnvWrapper):
        below.append(layer)
        layer = layer.venv
    if unseen := describe_layers(below):
        raise RunError(
            "the text is made of raw observations",
            got=f"{', '.join(part.name for part in unseen)} below the learned reward",
            fix="wrap the other way round: LearnedRewardVecEnv around the plain environments",
        )
    if learned is not None:
        card, language = card or learned.textualizer.card.file or None, language or learned.textualizer.language
    if moved := first_of(layer, MovedLimit):
        raise RunError(
            "an environment's time limit is the one that gymnasium.make puts there",
            got=f"{moved} around wrappers",
            fix="gymnasium.make(id, max_episode_steps=...) and wrap that",
        )
    spec, *others = (describe_env(live, card=card, language=language or "en") for live in layer.get_attr("spec"))
    if any(other != spec for other in others):
        raise RunError(
            "an agent's parallel environments are alike, so that evaluation, saving and loading make them again",
            got=f"{spec} beside {next(other for other in others if other != spec)}",
            fix="make them with the same id, arguments and wrappers",
        )
    wrappers = above if learned is not None else above[:-1]
    return replace(spec, layers=describe_layers(wrappers))
