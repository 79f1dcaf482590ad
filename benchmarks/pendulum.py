"""Does a language-model reward learnt from a few exact ratings train PPO on Pendulum as well as the true reward does?

100,000 steps on ``seq2seq`` (300 ratings), on ``minilm`` (100 ratings), on the true reward, and on two controls:
``minilm`` fitted on the same 100 ratings in permuted order, and a random reward. The share is (return - random policy)
/ (true-reward agent of this run - random policy); a claim asks for at least 0.9.

    python benchmarks/pendulum.py
"""

from __future__ import annotations

from common import arguments, claim, write_results
from suite_runs import arm, run


def main() -> None:
    """Run the suite and judge it."""
    options = arguments(__doc__)
    (match,), cells = run(options)
    claims = []
    for reward in ("minilm-100", "seq2seq-300"):
        share = arm(match, reward).share
        statement = f"Pendulum-v1, PPO 100k steps: {reward} loses at most a tenth of the random-to-true-agent range"
        claims.append(
            claim(reward, statement, share.value, ci=(share.low, share.high), bound=0.9, holds=share.value >= 0.9)
        )
    for reward in ("random", "shuffled-100"):
        share = arm(match, reward).share
        statement = f"Pendulum-v1, PPO 100k steps: {reward} knows nothing, stays in the lowest fifth of the range"
        claims.append(
            claim(reward, statement, share.value, ci=(share.low, share.high), bound=0.2, holds=share.value <= 0.2)
        )
    write_results(options.out, cells, claims, options.seeds, random_policy=match.random_return)


if __name__ == "__main__":
    main()
