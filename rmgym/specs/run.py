"""What a run is: an agent, how long it trains, how it is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rmgym.errors import RunError
from rmgym.specs.agent import AgentSpec
from rmgym.specs.base import Json, Spec

Best = Literal["true", "learned"]
"""By which return the best agent of a run is chosen."""


@dataclass(frozen=True, kw_only=True)
class RunSpec(Spec):
    """One training of one agent.

    Attributes:
        agent: who trains, where, on what.
        reward_name: what reports call the reward.
        eval_every: steps between evaluations.
        episodes: held-out episodes of each evaluation.
        checkpoint_every: steps between checkpoints; each resets the environments.
        save_best: which return selects the agent that is kept beside the last one, if any.
        card_hash: identity of all that shapes the texts, of the card's content among it; the card's path does not
            tell whether it was edited between two attempts.
        measure: identity of the user's own measure of episodes; None without one.

    Raises:
        RunError: a number is impossible.
    """

    agent: AgentSpec
    reward_name: str
    eval_every: int
    episodes: int = 10
    checkpoint_every: int
    save_best: Best | None = None
    card_hash: str | None = None
    measure: str | None = None

    def __post_init__(self) -> None:
        if (total := self.agent.total_steps) is None or total < 1:
            raise RunError("a run has at least one step", got=total, fix="pass total_steps=1 or more")
        if min(self.eval_every, self.episodes, self.checkpoint_every) < 1:
            counts = f"eval_every={self.eval_every}, episodes={self.episodes}, checkpoint_every={self.checkpoint_every}"
            raise RunError("evaluations and checkpoints have positive numbers", got=counts, fix="pass 1 or more")

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole training."""
        assert self.agent.total_steps is not None  # __post_init__ has seen to it
        return self.agent.total_steps

    def settings(self) -> Json:
        """What decides the outcome: everything but where the reward model lies (its digest says which one it is)."""
        settings = self.to_json()
        if self.measure is None:  # as runs were begun before there were measures
            del settings["measure"]
        return {**settings, "agent": {**settings["agent"], "reward": _without_place(settings["agent"]["reward"])}}


def _without_place(reward: Json) -> Json:
    return {key: value for key, value in reward.items() if key != "model"}
