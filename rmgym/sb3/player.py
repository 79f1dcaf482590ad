"""A saved agent as somebody who plays: steps of what it does, to ask about."""

from __future__ import annotations

import math
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rmgym.environments.behaviours import SEEDS
from rmgym.errors import RunError
from rmgym.sb3.evaluation import evaluate
from rmgym.sb3.saving import AGENT, load_to_act, read_saved
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions

_MOST = 10
"""Episodes played at a time."""


class AgentPlayer:
    """A source of :func:`rmgym.collect`: an agent, in its own environment, with all that stands between the two.

    Args:
        path: what :func:`rmgym.sb3.save_agent` or ``agent.save`` wrote, or the folder of a run; a pickle, see
            :func:`rmgym.sb3.load_agent`. Its reward model is not needed.

    Raises:
        RunError: there is no agent, or it was not made by rmgym.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.file = Path(path) / AGENT if Path(path).is_dir() else Path(path)
        self.spec = read_saved(self.file).spec

    def play(self, env: EnvSpec, steps: int, seed: int) -> Transitions:
        """Steps of whole episodes, but for the last one, acting as in training.

        Args:
            env: where; the agent was trained there.
            steps: how many.
            seed: of the first episode; the next ones count up.

        Raises:
            RunError: the agent was trained elsewhere, or episodes are to have a fixed horizon.
        """
        self._refuse_other(env)
        agent, played, first = load_to_act(self.file), list[Transitions](), seed
        assert agent.env is not None  # it comes with its own
        with closing(agent.env):
            while (left := steps - sum(map(len, played))) > 0:
                usual = steps if not played else len(played[-1]) / (int(played[-1].episode[-1]) + 1)
                episodes = min(math.ceil(left / usual), _MOST)
                more = evaluate(agent, None, "true", episodes=episodes, seed=seed, deterministic=False)
                played.append(more.steps)
                seed += episodes
        joined = Transitions.concatenate(played)[slice(steps)]
        return replace(joined, metadata={SEEDS: {str(i): first + i for i in range(int(joined.episode[-1]) + 1)}})

    def _refuse_other(self, env: EnvSpec) -> None:
        """Refuse to play where texts would tell of something else than the agent's steps."""
        own = self.spec.env
        here, there = ((e.id, e.kwargs, e.below_reward.wrappers) for e in (env, own))
        if here != there:
            got = f"{self.file}, trained in {own.task}, asked to play {env.task}"
            raise RunError("an agent plays where it was trained", got=got, fix=f"collect in {own.task}")
        if env.horizon is not None:
            fix = "leave it out, or collect by a behaviour"
            raise RunError("an agent plays episodes as they are", got=f"a fixed horizon of {env.horizon}", fix=fix)
