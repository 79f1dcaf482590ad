"""What does a learned reward do for DQN on FrozenLake 8x8, slippery and sparse? Reported as it is.

``seq2seq`` is fitted on 300 ratings of progress by the optimal value function, beside the true reward (1 at the
goal, else 0) and a random one.

    python benchmarks/frozenlake.py
"""

from __future__ import annotations

from common import arguments, claim, write_results
from suite_runs import arm, run


def main() -> None:
    """Run the suite and judge it."""
    options = arguments(__doc__)
    (match,), cells = run(options)
    learned, true = arm(match, "seq2seq-300").true_return, arm(match, "true").true_return
    statement = f"{match.task}, DQN 100k steps: success rate on seq2seq is at least that on the true reward"
    ci = (learned.low, learned.high)
    claims = [
        claim("learned-vs-true", statement, learned.value, ci=ci, bound=true.value, holds=learned.value >= true.value)
    ]
    write_results(options.out, cells, claims, options.seeds)


if __name__ == "__main__":
    main()
