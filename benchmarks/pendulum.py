"""Does a language-model reward learnt from a few ratings train PPO on Pendulum as well as the true reward does?

100,000 steps on ``seq2seq`` (300 ratings), on ``minilm`` and on ``no-lm``, which has no language model (100 and 50
ratings), on the true reward, and on two controls: ``minilm`` fitted on the same 100 ratings in permuted order, and a
random reward. Ratings are levels 1 to 10, each a
tenth of the range of the rated steps' true rewards; the ratings of the arms named exact equal the true reward.
The share is (return - random policy) / (true-reward agent of this run - random policy); a claim asks that its 95 %
interval, in which both ends of the range are uncertain too, lies above 0.9.

    python benchmarks/pendulum.py
"""

from __future__ import annotations

from common import JUDGE, arguments, claim
from suite_runs import measure, write

TASK = ("Pendulum-v1", "ppo")


def main() -> None:
    """Run the suite and judge it."""
    options = arguments(__doc__, flags=JUDGE)
    measured = measure(options)
    rewards = list(dict.fromkeys(cell["reward"] for cell in measured.cells))
    claims = []
    for reward in (name for name in rewards if name.startswith(("minilm", "seq2seq"))):
        share = measured.share(*TASK, reward)
        statement = (
            f"Pendulum-v1, PPO 100k steps: {reward} loses at most a tenth of the random-to-true-agent range (the whole "
            "95 % interval)"
        )
        claims.append(claim(reward, statement, share.value, ci=share[1:3], bound=0.9, holds=share.low >= 0.9))
    for reward in ("random", "shuffled-100"):
        share = measured.share(*TASK, reward)
        statement = (
            f"Pendulum-v1, PPO 100k steps: {reward} knows nothing, stays in the lowest fifth of the range on average"
        )
        claims.append(claim(reward, statement, share.value, ci=share[1:3], bound=0.2, holds=share.value <= 0.2))
    write(options, measured, claims)


if __name__ == "__main__":
    main()
