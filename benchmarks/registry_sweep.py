"""Does every environment work that can be made here? Words, wrapper, random steps, ``check_env``, a short training.

Each id of Gymnasium's registry (its own, box2d's, mujoco's) and of MiniGrid goes through
``rmgym.runs.check.check_environment``: 200 random steps through the learned reward, Gymnasium's ``check_env`` on the
wrapped environment, and 256 steps of PPO, or of SAC where actions are continuous. CarRacing is tried a second time with
a captioner. ``docs/environments.md`` shows the result.

    python benchmarks/registry_sweep.py
"""

from __future__ import annotations

import re
from dataclasses import asdict

import gymnasium as gym
import minigrid  # noqa: F401  # registers its environments
import numpy as np
from common import Cell, arguments, claim, run_cells, write_results

import rmgym
from rmgym.environments.kinds import Env
from rmgym.runs.check import check_environment

CAPTIONED = "CarRacing-v3 with a captioner"
QUICK = ("Pendulum-v1", "CartPole-v1", "Blackjack-v1", "MiniGrid-Empty-5x5-v0", "CarRacing-v3", CAPTIONED)
KNOWN = {
    "minimum value is -infinity": "MuJoCo and classic control leave observations unbounded; the text shows the value",
    "maximum value is infinity": "the same",
    "symmetric and normalized space": "the environment's own action bounds; the text shows the action in its unit",
    "is out of date": "an older version of the environment, kept for comparison",
    "have the text of another one": "a text rounds, and leaves out what a card does; how much that mixes up",
    "builtin type": "Box2D's bindings, at import",
}
"""Warnings that are known, by a part of their words, and why they stay."""


def captioned() -> Env:
    """CarRacing, its pictures told by how green they are."""
    return rmgym.CaptionWrapper(gym.make("CarRacing-v3"), greenness)


def greenness(pictures: np.ndarray) -> list[str]:
    """Which share of a picture is green, that is: grass."""
    red, green, blue = (pictures[..., i].astype(np.float64) for i in range(3))
    share = ((green > red) & (green > blue)).mean(axis=(1, 2))
    return [f"grass covers {100 * s:.1f} percent of the view" for s in share]


def measure(cell: Cell) -> Cell:
    """What came of one environment."""
    env_id = cell["env"]
    if env_id == CAPTIONED:
        env_id = "CarRacingCaptioned-v3"
        gym.register(env_id, captioned)
    came = asdict(check_environment(env_id))
    came["reason"] = re.sub(r"'/[^']*site-packages/", "'", came["reason"])  # a place on this machine
    return {**came, "env": cell["env"]}


def main() -> None:
    """Try every environment and count."""
    options = arguments(__doc__, seeds=(0,))
    names = QUICK if options.quick else (*sorted(gym.registry), CAPTIONED)
    cells = run_cells([{"env": name} for name in names], measure, options.runs)
    tried = [cell for cell in cells if cell["status"] != "not made"]
    failed = [cell["env"] for cell in tried if cell["status"] == "failed"]
    unknown = {w for cell in tried for w in cell["warnings"] if not any(words in w for words in KNOWN)}
    for what in (*failed, *unknown):
        print(what)
    claims = [
        claim(
            "no-failure",
            f"of {len(cells)} ids, {len(tried)} can be made here; every one of these passes or is refused with a "
            "reason",
            len(failed),
            bound=0,
            holds=not failed,
        ),
        claim("warnings-known", "warnings without a known reason", len(unknown), bound=0, holds=not unknown),
    ]
    counts = {
        status: sum(c["status"] == status for c in cells) for status in ("passed", "refused", "failed", "not made")
    }
    write_results(options.out, cells, claims, options.seeds, counts=counts, known_warnings=KNOWN)


if __name__ == "__main__":
    main()
