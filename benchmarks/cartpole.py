"""Can a reward learnt from outcomes solve CartPole, whose true reward is constant, and what do the controls prove?

PPO and DQN, 60,000 steps each. The true reward is +1 per step whatever the step, so ``constant`` is the true reward
itself, and stands for it: that it solves the task proves that surviving alone pays, and that a high return here says
nothing about a reward model. What does say something is ``random``, and that ``minilm`` tells good steps from bad ones:
its rewards are labelled by outcome (how long the pole stayed up afterwards).

    python benchmarks/cartpole.py
"""

from __future__ import annotations

from common import arguments, claim, write_results
from suite_runs import arm, run

SOLVED = 475


def main() -> None:
    """Run the suite and judge it."""
    said = arguments(__doc__)
    matches, cells = run(said)
    claims = []
    for match in matches:
        for reward in ("minilm-300", "constant"):
            result = arm(match, reward).true_return
            statement = (
                f"CartPole-v1, {match.algo.upper()} within 60k steps on {reward}: mean true return solves the task"
            )
            ci = (result.low, result.high)
            claims.append(
                claim(
                    f"{match.algo}-{reward}", statement, result.value, ci=ci, bound=SOLVED, holds=result.value >= SOLVED
                )
            )
    write_results(said.out, cells, claims, said.seeds)


if __name__ == "__main__":
    main()
