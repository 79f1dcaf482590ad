from __future__ import annotations

import pytest

from rmgym.metrics import gamed_since


def rows(*returns: tuple[float, float], std: float = 1.0, episodes: int = 5) -> list[dict[str, float]]:
    """Evaluations with a true and a learned return; two standard errors of a difference are 1.41 here."""
    return [
        {
            "steps": i,
            "episodes": episodes,
            "true_return_mean": true,
            "true_return_std": std,
            "learned_return_mean": learned,
            "learned_return_std": std,
        }
        for i, (true, learned) in enumerate(returns)
    ]


@pytest.mark.parametrize(
    ("evaluations", "step"),
    [
        (rows((5, 0), (4, 1), (3, 2)), 0),
        (rows((5, 0), (4, 1)), None),  # too few
        (rows((5, 0), (6, 1), (7, 2)), None),  # both rise
        (rows((5, 2), (4, 1), (3, 0)), None),  # both fall
        (rows((3, 2), (4, 1), (5, 0)), None),  # the other way round
        (rows((5, 0), (4.3, 1), (3.7, 2)), None),  # 1.3 is within two standard errors
        (rows((5, 0), (4, 1), (3.5, 2)), 0),  # 1.5 is not
        (rows((9, 9), (5, 0), (4, 1), (3, 2)), 1),  # since the first, both fell
        (rows((3, 0), (9, 1), (7, 2), (6, 3), (5, 4)), 1),  # from the best one on
        (rows((9, 0), (3, 2), (3, 3), (9, 4), (9, 5)), None),  # it came back
        (rows((5, 0), (4, 1), (3, 2), std=0.0, episodes=1), None),  # one episode does not tell
    ],
)
def test_a_reward_is_gamed_since_both_returns_parted(evaluations: list[dict[str, float]], step: int | None) -> None:
    since = gamed_since(evaluations)
    assert (since and since["steps"]) == step


def test_how_long_they_have_to_part_is_up_to_the_caller() -> None:
    assert gamed_since(rows((5, 0), (3, 2)), window=2) is not None
    assert gamed_since(rows((5, 0), (4, 1), (3, 2)), window=4) is None
