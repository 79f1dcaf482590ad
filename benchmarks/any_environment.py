"""How far does a reward learnt from 1,000 ratings of random steps go where nobody tuned for it?

LunarLander-v3 (DQN), MiniGrid-Empty-Random-5x5-v0 (PPO) and HalfCheetah-v5 (SAC), 100,000 steps each: ``minilm`` on
1,000 ratings equal to the true reward, of steps that a random policy took, chosen by coverage, beside the true reward.
A random reward and ``no-lm``, the same ratings without a language model, stand beside them in the first two; in
HalfCheetah only the random *policy* does, since another arm of SAC costs an hour.
What a random policy never sees (a fast gallop, a soft landing) nobody has rated: reported as it is. The 20,000
random steps of MiniGrid-Empty hold fewer than 1,000 distinct texts; 300 of them are rated.

    python benchmarks/any_environment.py
    python benchmarks/any_environment.py --suites minigrid_empty   # one after the other: HalfCheetah takes two hours

Of suites that are not run, the cells stay that were measured before.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from common import JUDGE, RESULTS, arguments, claim
from suite_runs import Measured, measure, random_policies, write

SUITES = {
    "lunarlander": ("LunarLander-v3", "dqn", "minilm-1000"),
    "minigrid_empty": ("MiniGrid-Empty-Random-5x5-v0", "ppo", "minilm-300"),
    "halfcheetah": ("HalfCheetah-v5", "sac", "minilm-1000"),
}
"""Names of the suites, with environment, algorithm and learned reward."""
BOUND = 0.9


def main() -> None:
    """Run the suites and judge them."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    words = sys.argv[1:]
    chosen, sys.argv[1:] = parser.parse_known_args()
    options = arguments(__doc__, flags=JUDGE)
    sys.argv[1:] = words  # the command that the result names
    measured, claims = measure(options, chosen.suites), []
    if not options.judge and options.out.parent == RESULTS:
        measured = _with_others(measured, json.loads(options.out.read_text(encoding="utf-8")))
    for name, (env, algo, reward) in SUITES.items():
        share = measured.share(env, algo, reward)
        statement = (
            f"{env}, {algo.upper()} 100k steps: {reward} loses at most a tenth of the random-to-true-agent range (the "
            "whole 95 % interval)"
        )
        claims.append(claim(name, statement, share.value, ci=share[1:3], bound=BOUND, holds=share.low >= BOUND))
    write(options, measured, claims)


def _with_others(measured: Measured, before: dict[str, Any]) -> Measured:
    """What was measured now, and before in other environments."""
    envs = {cell["env"] for cell in measured.cells}
    cells = [*measured.cells, *(cell for cell in before["cells"] if cell["env"] not in envs)]
    order = [env for env, _, _ in SUITES.values()]
    cells.sort(key=lambda cell: order.index(cell["env"]))
    return Measured(cells=cells, random=random_policies(before) | measured.random)


if __name__ == "__main__":
    main()
