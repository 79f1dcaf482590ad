"""Steps of environments, what an exact rater says of them, and steps of agents trained on the true reward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from common import Cell
from label_efficiency import rated as exact

import rmgym
from rmgym.environments.collect import collect
from rmgym.feedback.queries import Method, select_steps
from rmgym.specs import EnvSpec
from rmgym.text import TextBatch
from rmgym.transitions import Transitions

COLLECTED, TESTED = 5000, 1000
MANY = (50, 100, 300, 1000)


@dataclass(frozen=True, kw_only=True)
class Place:
    """How an environment's steps are collected and chosen.

    Attributes:
        algo: agent whose steps are out of distribution, trained on the true reward.
        agent_steps: how long.
        labels: how many steps are rated.
        reset_every: see :func:`rmgym.collect`.
        method: see :func:`rmgym.feedback.queries.select_steps`.
        lost: rating in a MiniGrid where nothing that matters is in view.
    """

    algo: str
    agent_steps: int
    labels: tuple[int, ...] = MANY
    reset_every: int | None = None
    method: Method = "random"
    lost: float | None = None


PLACES = {
    "Pendulum-v1": Place(algo="ppo", agent_steps=40_000, reset_every=25),
    "Acrobot-v1": Place(algo="ppo", agent_steps=40_000, reset_every=25),
    "LunarLander-v3": Place(algo="dqn", agent_steps=60_000, method="coverage"),
    "HalfCheetah-v5": Place(algo="sac", agent_steps=10_000, method="coverage"),
    "Hopper-v5": Place(algo="sac", agent_steps=10_000, method="coverage"),
    # Random steps say about 255 and 850 different things there, of which some are left to test.
    "MiniGrid-Empty-Random-5x5-v0": Place(algo="ppo", agent_steps=40_000, labels=MANY[:2], lost=-6),
    "MiniGrid-DoorKey-5x5-v0": Place(algo="ppo", agent_steps=40_000, labels=MANY[:3], lost=-16),
    "Ant-v5": Place(algo="sac", agent_steps=10_000, method="coverage"),
}
DOOR, KEY, GOAL, OPEN = 4, 5, 8, 0
"""Kinds of things, and the state of a door, in MiniGrid's pictures (its ``core/constants.py``)."""
OWN_COLUMN, OWN_ROW = 3, 6
"""Where the agent stands in its view of 7 by 7 cells, looking towards row 0; its own cell shows what it carries."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rated:
    """Texts ``B`` and their ratings ``float32 [B]``, with the steps they are of."""

    steps: Transitions
    texts: TextBatch
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Rated:
        return Rated(steps=self.steps[rows], texts=self.texts[rows], values=self.values[rows])


def ratings_of(steps: Transitions) -> npt.NDArray[np.float32]:
    """What an exact rater says of each step: the true reward, or how far along it is where that is constant.

    Acrobot's rating is its mechanical energy. A MiniGrid's is minus the moves that are left as far as they can be seen
    after the step: to the goal; where no goal is in view, to the open door; with the key in hand, to the door; else to
    the key.
    """
    place = PLACES[steps.metadata["env"]["id"]]
    if place.lost is None:
        return exact(steps)
    assert isinstance(steps.next_obs, dict)
    picture = np.asarray(steps.next_obs["image"])
    kind, state = picture[..., 0], picture[..., 2]
    goal, key, doors = kind == GOAL, kind == KEY, kind == DOOR
    is_open = doors & (state == OPEN)
    has_key = key[:, OWN_COLUMN, OWN_ROW]
    left = np.select(
        [steps.terminated, seen(goal), seen(is_open), has_key & seen(doors), ~has_key & seen(key)],
        [0, moves_to(goal), moves_to(is_open) + 3, moves_to(doors) + 4, moves_to(key) + 9],
        default=-place.lost,
    )
    return -left.astype(np.float32)


def seen(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether a view ``bool [B, 7, 7]`` has a marked cell, ``bool [B]``."""
    return there.any(axis=(1, 2))


def moves_to(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Cells ahead and aside to the nearest marked one of a view ``bool [B, 7, 7]``; infinite where there is none."""
    aside = np.abs(np.arange(there.shape[1]) - OWN_COLUMN)[:, None]
    ahead = (OWN_ROW - np.arange(there.shape[2]))[None, :]
    return np.where(there, (aside + ahead).astype(np.float64), np.inf).min(axis=(1, 2))


@lru_cache(maxsize=2)  # cells of one environment and seed follow each other
def steps_of(env: str, seed: int, share: int) -> tuple[Rated, Rated]:
    """Random steps to choose from, and others to test on; ``share`` divides their number."""
    place = PLACES[env]
    return tuple(  # type: ignore[return-value]
        _rated(collect(env, count // share, seed=first + seed, reset_every=place.reset_every, progress=False))
        for count, first in ((COLLECTED, 0), (TESTED, 10_000))
    )


def labelled(env: str, seed: int, labels: int, share: int) -> tuple[Rated, Rated]:
    """Rated steps, and test steps whose texts are none of theirs."""
    pool, test = steps_of(env, seed, share)
    chosen = pool[select_steps(pool.steps, pool.texts, labels, method=PLACES[env].method, seed=seed)]
    seen = set(chosen.texts.strings())
    return chosen, test[np.array([text not in seen for text in test.texts.strings()])]


def _rated(steps: Transitions) -> Rated:
    texts = rmgym.textualizer(steps.metadata["env"]["id"]).batch(steps)
    return Rated(steps=steps, texts=texts, values=ratings_of(steps))


def train_agent(folder: Path, cell: Cell) -> Cell:
    """Train an agent on the true reward and keep steps of it."""
    torch.set_num_threads(1)
    place, seed = PLACES[cell["env"]], cell["seed"]
    total = place.agent_steps // cell["share"]
    agent = rmgym.sb3.make_agent(place.algo, cell["env"], reward_model="true", seed=seed, total_steps=total)
    agent.learn(total)
    played = rmgym.sb3.evaluate(agent, None, "true", episodes=10, deterministic=False)
    rows = np.unique(np.linspace(0, len(played.steps) - 1, TESTED).round().astype(int))
    folder.mkdir(parents=True, exist_ok=True)
    steps = replace(played.steps[rows], metadata={"env": EnvSpec(id=cell["env"]).to_json()})
    steps.save(_steps_file(folder, cell["env"]), overwrite=True)
    return {"algo": place.algo, "steps": total, "true_return": float(played.true_return.mean())}


@lru_cache(maxsize=2)
def agent_steps(folder: Path, env: str) -> Rated:
    """Steps that :func:`train_agent` kept."""
    return _rated(Transitions.load(_steps_file(folder, env)))


def _steps_file(folder: Path, env: str) -> Path:
    return folder / f"{env}.parquet"
