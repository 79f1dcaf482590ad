"""Can a reward learnt from outcomes solve CartPole, whose true reward is constant, and what do the controls prove?

PPO and DQN, 100,000 steps each. The true reward is +1 per step whatever the step, so ``constant`` is the true reward
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
    options = arguments(__doc__)
    matches, cells = run(options)
    claims = []
    for match in matches:
        for reward in ("minilm-300", "constant"):
            result, name = arm(match, reward).true_return, f"{match.algo}-{reward}"
            trained = f"CartPole-v1, {match.algo.upper()} on {reward}"
            statement = f"{trained}: mean true return after 100k steps is at least {SOLVED}"
            ci = (result.low, result.high)
            claims.append(claim(name, statement, result.value, ci=ci, bound=SOLVED, holds=result.value >= SOLVED))
            curves = [c["true_return_curve"] for c in cells if (c["algo"], c["reward"]) == (match.algo, reward)]
            worst = min(max(curve) for curve in curves)
            statement = (
                f"{trained}: every seed has an evaluation of at least {SOLVED} within 100k steps (worst seed's best)"
            )
            claims.append(claim(f"{name}-reached", statement, worst, bound=SOLVED, holds=worst >= SOLVED))
    write_results(options.out, cells, claims, options.seeds)


if __name__ == "__main__":
    main()
