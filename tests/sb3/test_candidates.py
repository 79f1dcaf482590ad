"""Agents kept on the way, of which the last reward selects one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rmgym.errors import RmgymError
from rmgym.runs import loop as loops
from rmgym.sb3 import make_agent
from rmgym.sb3.candidates import Candidates
from rmgym.sb3.saving import load_agent
from rmgym.transitions import Transitions
from tests.runs.test_loop import SETTINGS, TEACHERS
from tests.sb3.small import SMALL


def steps(values: list[float], episode: list[int]) -> Transitions:
    obs = np.array(values, np.float32)[:, None]
    return Transitions.from_arrays(obs, obs, obs, episode=episode)


def small(taken: int) -> Any:
    agent = make_agent("dqn", "CartPole-v1", reward_model="constant", seed=0, **SMALL["dqn"])
    agent.num_timesteps = taken
    return agent


def score(sign: float) -> Any:
    def of(played: Transitions) -> npt.NDArray[np.float64]:
        return sign * np.asarray(played.obs, np.float64)[:, 0]

    return of


def test_the_best_is_told_by_the_mean_return_under_any_reward(tmp_path: Path) -> None:
    candidates = Candidates(tmp_path / "candidates")
    candidates.add(small(100), steps([1, 1, 4], [0, 0, 1]))
    candidates.add(small(200), steps([5], [0]))
    candidates.add(small(300), steps([1, 1, 1, 1], [0, 1, 2, 3]))
    assert candidates.best([100, 200, 300], score(1)) == (200, 5)
    assert candidates.best([100, 300], score(1)) == (100, 3)
    assert candidates.best([100, 200, 300], score(-1)) == (300, -1)
    assert candidates.best([300, 200], score(0)) == (300, 0)  # the earliest of equals that was asked for
    candidates.keep(200, "random", tmp_path / "best.zip")
    candidates.keep(100, "random", tmp_path / "best.zip")  # in its place
    assert load_agent(tmp_path / "best.zip", "random").num_timesteps == 100  # it belongs to what has selected it now
    candidates.remove()
    candidates.remove()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.zip"]


def test_an_agent_takes_the_place_of_one_after_as_many_steps(tmp_path: Path) -> None:
    candidates = Candidates(tmp_path)
    candidates.add(small(100), steps([1], [0]))
    candidates.add(small(100), steps([7], [0]))
    assert candidates.best([100], score(1)) == (100, 7)
    with pytest.raises(RmgymError):
        candidates.best([100, 200], score(1))


def test_a_loop_keeps_the_best_of_all_its_evaluations_under_its_last_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = dict[int, float]()
    best = Candidates.best

    def watched(self: Candidates, taken: Any, of: Any) -> tuple[int, float]:
        judged.update({n: best(self, [n], of)[1] for n in taken})
        return best(self, taken, of)

    monkeypatch.setattr(Candidates, "best", watched)
    result = loops.loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **{**SETTINGS, "eval_every": 96})
    assert [row["steps"] for row in result.run.comparison] == [96, 192, 288, 384, 480] == list(judged)
    assert result.run.best["steps"] == max(judged, key=lambda n: judged[n])
    last = [row for row in result.run.comparison if row["round"] == 3]  # under the last model from the beginning
    assert len(last) >= 2
    assert [judged[int(row["steps"])] for row in last] == pytest.approx([row["learned_return_mean"] for row in last])
