"""Controls know nothing: a constant and a hash of the text. The true reward, which environments have, is no model."""

import numpy as np
import pytest
from scipy.stats import kstest

from rmgym.errors import ModelError
from rmgym.models import available_models, create_reward_model, load_reward_model
from rmgym.models.contract import RewardModelContract
from rmgym.text.batch import TextBatch


class TestConstant(RewardModelContract):
    def make_model(self):
        return create_reward_model("constant", value=-0.25)

    def make_other(self):
        return create_reward_model("constant", value=0.5)


class TestRandom(RewardModelContract):
    def make_model(self):
        return create_reward_model("random", seed=3)

    def make_other(self):
        return create_reward_model("random", seed=4)


def test_constant_is_its_value():
    prediction = create_reward_model("constant", value=-0.25).predict(["a", "b 1.5"])
    assert prediction.mean.tolist() == [-0.25, -0.25]
    assert prediction.std.tolist() == [0.0, 0.0]


def test_random_is_standard_normal_over_texts_and_blind_to_likeness():
    texts = TextBatch.from_strings([f"angle: {i / 1000:.3f}" for i in range(4000)])
    mean = create_reward_model("random", seed=0).predict(texts).mean
    assert kstest(mean, "norm").pvalue > 0.01
    assert abs(np.corrcoef(mean[:-1], mean[1:])[0, 1]) < 0.05


def test_random_seeds_are_unrelated():
    texts = TextBatch.from_strings([f"angle: {i}" for i in range(2000)])
    one, other = (create_reward_model("random", seed=s).predict(texts).mean for s in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.08


def test_random_tells_words_apart():
    mean = create_reward_model("random").predict(["push left 1", "push right 1"]).mean
    assert mean[0] != mean[1]


@pytest.mark.parametrize("make", [load_reward_model, create_reward_model])
def test_true_is_no_model_of_text(make):
    with pytest.raises(ModelError, match="give 'true' to a wrapper, make_agent or train"):
        make("true")
    assert "true" in available_models()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("constant", {"vlaue": 1.0}, "did you mean 'value'"),
        ("constant", {"value": "much"}, "'value'"),
        ("constant", {"value": float("nan")}, "finite"),
        ("random", {"value": 1.0}, "use one of seed"),
        ("true", {"value": 1.0}, "no model"),
    ],
)
def test_wrong_options_are_refused(name, options, said):
    with pytest.raises(ModelError, match=said):
        create_reward_model(name, **options)


def test_a_seed_of_another_size_is_refused():
    with pytest.raises(ModelError, match="64 bits"):
        create_reward_model("random", seed=2**70)
