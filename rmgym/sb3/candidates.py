"""The agents of a training whose reward changes on the way: which of them is the best under the last one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm

from rmgym.sb3.agents import exchange_reward_model
from rmgym.sb3.saving import load_agent, save_agent
from rmgym.storage.atomic import make_folder
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Model

Score = Callable[[Transitions], npt.NDArray[np.float64]]
"""What a reward model says of steps, ``[B] -> float64 [B]``."""


@dataclass(frozen=True)
class Candidates:
    """Agents as they were when they were evaluated, and what they did in those episodes.

    A reward that was wrong may have taught an agent what is right, and one that is right may lose it again; returns
    under different rewards are not to be compared. So all that agents did is scored anew by the last one, which takes
    no further step of an environment.

    Attributes:
        folder: where they are kept.
    """

    folder: Path

    def add(self, agent: BaseAlgorithm, played: Transitions) -> None:
        """Keep an agent after so many training steps, in place of one that was there.

        Args:
            agent: as it is now.
            played: whole episodes, numbered from 0.
        """
        make_folder(self.folder, what="agents")
        save_agent(agent, self._agent(agent.num_timesteps))
        played.save(self._steps(agent.num_timesteps), overwrite=True)

    def best(self, steps: Iterable[int], score: Score) -> tuple[int, float]:
        """After how many steps an agent was the best, the earliest of equals, and its mean return.

        Args:
            steps: after how many there were agents; at least one.
            score: by what.
        """
        returns = dict[int, float]()
        for taken in steps:
            played = Transitions.load(self._steps(taken))
            returns[taken] = float(score(played).sum()) / (int(played.episode.max()) + 1)
        best = max(returns, key=lambda taken: returns[taken])
        return best, returns[best]

    def keep(self, steps: int, model: Model, file: Path) -> None:
        """Save the agent that was there after so many steps with another reward model, that which has selected it."""
        agent = load_agent(self._agent(steps))
        try:
            exchange_reward_model(agent, model)
            save_agent(agent, file)
        finally:
            assert agent.env is not None  # load_agent has made it
            agent.env.close()

    def remove(self) -> None:
        """Remove all that were kept here, once nobody goes on from before."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _agent(self, steps: int) -> Path:
        return self.folder / f"{steps}.zip"

    def _steps(self, steps: int) -> Path:
        return self.folder / f"{steps}.parquet"
