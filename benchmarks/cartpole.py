"""Can a reward learnt from outcomes solve CartPole, whose true reward is constant, and what do the controls prove?

PPO and DQN, 100,000 steps each. The true reward is +1 per step whatever the step, so ``constant`` is the true reward
itself, and stands for it: that it solves the task proves that surviving alone pays, and that a high return here says
nothing about a reward model. What does say something is ``random``, and that ``minilm`` tells good steps from bad ones:
its rewards are labelled by outcome (how long the pole stayed up afterwards).

    python benchmarks/cartpole.py
"""

from __future__ import annotations

from common import JUDGE, arguments, claim
from suite_runs import measure, write

ENV, SOLVED = "CartPole-v1", 475


def main() -> None:
    """Run the suite and judge it."""
    options = arguments(__doc__, flags=JUDGE)
    measured = measure(options)
    claims = []
    for algo in ("dqn", "ppo"):
        for reward in ("minilm-300", "constant"):
            result, name = measured.mean(ENV, algo, reward), f"{algo}-{reward}"
            trained = f"{ENV}, {algo.upper()} on {reward}"
            statement = f"{trained}: mean true return after 100k steps is at least {SOLVED}"
            holds = result.value >= SOLVED
            claims.append(claim(name, statement, result.value, ci=result[1:3], bound=SOLVED, holds=holds))
            cells = [cell for cell in measured.cells if (cell["algo"], cell["reward"]) == (algo, reward)]
            worst = min(max(cell["true_return_curve"]) for cell in cells)
            statement = (
                f"{trained}: every seed has an evaluation of at least {SOLVED} within 100k steps (worst seed's best)"
            )
            claims.append(claim(f"{name}-reached", statement, worst, bound=SOLVED, holds=worst >= SOLVED))
    write(options, measured, claims)


if __name__ == "__main__":
    main()
