"""What does a learned reward do for DQN on FrozenLake 8x8, slippery and sparse? Reported as it is.

``seq2seq`` is fitted on 300 ratings of progress by the optimal value function, beside the true reward (1 at the
goal, else 0) and a random one.

    python benchmarks/frozenlake.py
"""

from __future__ import annotations

from common import JUDGE, arguments, claim
from suite_runs import measure, write

TASK = ("FrozenLake8x8-v1", "dqn")


def main() -> None:
    """Run the suite and judge it."""
    options = arguments(__doc__, flags=JUDGE)
    measured = measure(options)
    learned, true = measured.mean(*TASK, "seq2seq-300"), measured.mean(*TASK, "true")
    statement = f"{TASK[0]}, DQN 100k steps: mean success rate on seq2seq is at least that on the true reward"
    holds = learned.value >= true.value
    claims = [claim("learned-vs-true", statement, learned.value, ci=learned[1:3], bound=true.value, holds=holds)]
    write(options, measured, claims)


if __name__ == "__main__":
    main()
