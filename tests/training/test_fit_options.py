from typing import Any

import pytest

from rmgym.errors import FitError
from rmgym.models import create_reward_model
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
        ({"free_steps": -1}, "free_steps is not negative"),
        ({"validation": 1.0}, "validation is a share"),
        ({"warmup_ratio": -0.1}, "warmup_ratio is a share"),
        ({"pseudo_labels": 0.4}, "pseudo_labels is a chance from 0.5 to 1"),
        ({"pseudo_labels": 1.0}, "pseudo_labels is a chance from 0.5 to 1"),
        ({"pseudo_weight": -1.0}, "pseudo_weight is not negative"),
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


def test_a_step_draws_an_eighth_of_the_labels_and_is_as_much_longer() -> None:
    model = create_reward_model("no-lm")
    settled = {n: FitOptions().settled(model, n) for n in (2, 256, 264, 800, 5000)}
    assert {n: each.batch_size for n, each in settled.items()} == {2: 32, 256: 32, 264: 33, 800: 100, 5000: 128}
    rates = {n: each.learning_rate for n, each in settled.items()}
    assert rates == pytest.approx(
        {2: 2e-3, 256: 2e-3, 264: 2e-3 * (33 / 32) ** 0.5, 800: 2e-3 * 3.125**0.5, 5000: 4e-3}, rel=1e-4
    )


def test_what_is_given_stays_and_costly_steps_stay_short() -> None:
    given = FitOptions(batch_size=64).settled(create_reward_model("no-lm"), 5000)
    assert (given.batch_size, given.learning_rate) == (64, pytest.approx(2e-3 * 2**0.5))
    more = FitOptions(batch_size=512).settled(create_reward_model("no-lm"), 5000)
    assert (more.batch_size, more.learning_rate) == (512, pytest.approx(4e-3))
    assert FitOptions(learning_rate=1e-4).settled(create_reward_model("no-lm"), 5000).learning_rate == 1e-4
    costly = FitOptions().settled(create_reward_model("seq2seq"), 5000)
    assert (costly.batch_size, costly.learning_rate) == (32, 1e-3)
