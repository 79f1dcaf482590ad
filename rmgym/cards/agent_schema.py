"""What an agent's card may say."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic import Field as Rule
from pydantic.dataclasses import dataclass

from rmgym.cards.schema import STRICT, Key, fits, specificity

MOST_ENVS = 4096
"""Parallel environments of a card; what asks for more would never come to its first step."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvironmentOverride:
    """What an algorithm does differently in environments that match ``id``.

    Attributes:
        id: the environment ids it is for, with shell-style wildcards.
        source: who says so.
        n_envs: number of parallel environments.
        total_steps: default training length in environment steps.
        normalize: normalise observations.
        hyperparameters: constructor arguments, over those of the card.
    """

    id: str
    source: str
    n_envs: Annotated[int, Rule(ge=1, le=MOST_ENVS)] | None = None
    total_steps: Annotated[int, Rule(ge=1)] | None = None
    normalize: bool | None = None
    hyperparameters: dict[str, object] = Rule(default_factory=dict)


def _in_sb3(path: str) -> str:
    if not re.fullmatch(r"(stable_baselines3|sb3_contrib)\.[A-Za-z0-9_]+", path):
        raise ValueError("an algorithm is a class of stable_baselines3 or sb3_contrib, such as 'stable_baselines3.PPO'")
    return path


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AgentCard:
    """How a Stable-Baselines3 algorithm is set up.

    Attributes:
        name: the name given on the command line.
        algorithm: class path inside ``stable_baselines3`` or ``sb3_contrib``; nothing else is imported.
        policy: SB3 policy name.
        n_envs: number of parallel environments.
        total_steps: default training length in environment steps.
        normalize: normalise observations (``VecNormalize(norm_reward=False)``).
        hyperparameters: constructor arguments; a string ``"linear:X"`` is a schedule from X down to 0.
        environment: overrides; the longest matching id wins.
        source: where the defaults come from.
        file: where the card was read from.
    """

    name: Key
    algorithm: Annotated[str, AfterValidator(_in_sb3)]
    policy: str = "MlpPolicy"
    n_envs: Annotated[int, Rule(ge=1, le=MOST_ENVS)] = 1
    total_steps: Annotated[int, Rule(ge=1)] = 100_000
    normalize: bool = False
    source: str = ""
    hyperparameters: dict[str, object] = Rule(default_factory=dict)
    environment: list[EnvironmentOverride] = Rule(default_factory=list)
    file: str = ""

    def override_for(self, env_id: str) -> EnvironmentOverride | None:
        """The longest matching override, or None."""
        matching = [o for o in self.environment if fits(o.id, env_id)]
        return max(matching, key=lambda o: specificity(o.id, env_id), default=None)
