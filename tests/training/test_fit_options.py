from typing import Any

import pytest

from rmgym.errors import FitError
from rmgym.training import FitOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_steps": 0}, "max_steps is at least 1"),
        ({"batch_size": -1}, "batch_size is at least 1"),
        ({"eval_every": 0}, "eval_every is at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every is at least 1"),
        ({"patience": 0}, "patience is at least 1"),
        ({"steps_per_segment": 0}, "steps_per_segment is at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is a positive number"),
        ({"learning_rate": float("nan")}, "learning_rate is a positive number"),
        ({"lm_learning_rate": float("inf")}, "lm_learning_rate is a positive number"),
        ({"weight_decay": -0.1}, "weight_decay is not negative"),
        ({"max_grad_norm": -1.0}, "max_grad_norm is not negative"),
        ({"seed": -1}, "seed is not negative"),
        ({"validation": 1.0}, "validation is a share"),
        ({"warmup_ratio": -0.1}, "warmup_ratio is a share"),
        ({"loss": "hubber"}, "did you mean 'huber'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "bf16"}, "bfloat16"),
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(FitError, match=message):
        FitOptions(**wrong)


def test_patience_and_steps_per_segment_can_be_switched_off() -> None:
    assert FitOptions(patience=None, steps_per_segment=None).patience is None
