"""How far does a reward learnt from 1,000 ratings of random steps go where nobody tuned for it?

LunarLander-v3 (DQN), MiniGrid-Empty-Random-5x5-v0 (PPO) and HalfCheetah-v5 (SAC), 100,000 steps each: ``minilm`` on
1,000 exact ratings of steps that a random policy took, chosen by coverage, beside the true reward. A random reward
stands beside them in the first two; in HalfCheetah the random *policy* does, since a third arm of SAC costs an hour.
What a random policy never sees (a fast gallop, a soft landing) nobody has rated: reported as it is. The 20,000
random steps of MiniGrid-Empty hold fewer than 1,000 distinct texts; 300 of them are rated.

    python benchmarks/any_environment.py
"""

from __future__ import annotations

from common import Cell, arguments, claim, write_results
from suite_runs import arm, run

SUITES = {"lunarlander": "minilm-1000", "minigrid_empty": "minilm-300", "halfcheetah": "minilm-1000"}
"""Names of the suites, and of the learned reward in them."""
BOUND = 0.9


def main() -> None:
    """Run the suites and judge them."""
    options = arguments(__doc__)
    cells, claims = list[Cell](), []
    for name, reward in SUITES.items():
        (match,), measured = run(options, name)
        cells += measured
        share = arm(match, reward).share
        statement = (
            f"{match.task}, {match.algo.upper()} 100k steps: {reward} loses at most a tenth of the "
            "random-to-true-agent range"
        )
        ci = (share.low, share.high)
        claims.append(claim(name, statement, share.value, ci=ci, bound=BOUND, holds=share.value >= BOUND))
    write_results(options.out, cells, claims, options.seeds)


if __name__ == "__main__":
    main()
