"""A reward model on the engine that an agent's settings name."""

from __future__ import annotations

from contextlib import closing

from rmgym.environments.build import build_env
from rmgym.environments.collect import collect
from rmgym.errors import ModelError
from rmgym.specs import EnvSpec
from rmgym.text import textualizer
from rmgym.threads import torch_threads
from rmgym.wrappers.source import Loaded, name_of

_TRIED = 256
"""Random steps on which engines are tried."""


def engine_of(model: Loaded) -> str:
    """What computes a loaded model's heads."""
    return str(getattr(model, "engine", "eager"))


def on_engine(model: Loaded, engine: str, env: EnvSpec) -> tuple[Loaded, str]:
    """The model with an engine for its heads, and the engine's name; the model itself stays as it was.

    Args:
        model: a loaded model.
        engine: ``eager`` (the model as it comes), ``auto`` (the fastest exact one on this machine, on one thread), or a
            name of :mod:`rmgym.scoring.engines`.
        env: where its texts come from.

    Raises:
        ModelError: the model has no exchangeable heads, or the engine is unknown, missing, or errs too much.
    """
    if engine == "eager":
        return model, engine_of(model)
    from rmgym.models.language_model import LanguageModelReward
    from rmgym.scoring.engines import with_engine

    if not isinstance(model, LanguageModelReward):
        raise ModelError(
            "an engine is for late fusion on a language model", got=name_of(model), fix="leave the engine out"
        )
    below = env.below_reward
    with closing(build_env(below)) as live:
        say = textualizer(live, card=env.card, language=env.language)
    texts = say.batch(collect(below, _TRIED, progress=False))
    with torch_threads(1):
        fast, choice = with_engine(model, texts, engine)
    return fast, choice.engine
