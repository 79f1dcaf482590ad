"""What an agent is: its environment, its reward, its algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rmgym.errors import RunError, nearest
from rmgym.specs.base import Spec, exact
from rmgym.specs.environment import EnvSpec
from rmgym.specs.reward import RewardSpec

When = Literal["rollout", "step"]
"""When a reward model is asked: about a whole rollout (or a block of replay rows) at once, or at every vector step."""


@dataclass(frozen=True, kw_only=True)
class AgentSpec(Spec):
    """An agent that Stable-Baselines3 trains on a learned reward.

    Attributes:
        env: its environment.
        reward: its reward.
        algo: name of its agent card, or of its class.
        algorithm: its class, such as ``stable_baselines3.PPO``.
        hyperparameters: as the card and the caller wrote them; empty for an agent that was not made by rmgym.
        n_envs: number of parallel environments.
        seed: of everything that is drawn; None where it is not known.
        total_steps: how long it is meant to train, in environment steps; None where it is not known.
        when: when its reward model is asked.

    Raises:
        RunError: a value is impossible.
    """

    env: EnvSpec
    reward: RewardSpec
    algo: str
    algorithm: str
    n_envs: int
    hyperparameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int | None = None
    total_steps: int | None = None
    when: When = "rollout"

    def __post_init__(self) -> None:
        if self.when not in (ways := ("rollout", "step")):
            raise RunError("'when' is 'rollout' or 'step'", got=self.when, fix=nearest(self.when, ways))
        if self.n_envs < 1:
            raise RunError("an agent trains in at least one environment", got=self.n_envs, fix="pass n_envs=1 or more")
        plain = exact(self.hyperparameters, "hyperparameters", "pass numbers, strings, lists and dictionaries")
        object.__setattr__(self, "hyperparameters", plain)
