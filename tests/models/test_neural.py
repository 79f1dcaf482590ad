"""What neural models share, on a model small enough to work out by hand."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from rmgym.errors import ModelError
from rmgym.models import create_reward_model
from rmgym.models.contract import RewardModelContract
from rmgym.models.files import read_files
from rmgym.models.neural import NeuralRewardModel, encode
from rmgym.models.number_features import NumberFeatures
from rmgym.text.batch import TextBatch
from tests.models.tiny import SIZES


@dataclass(frozen=True, kw_only=True)
class SumConfig:
    heads: int = 1


class SumModel(NeuralRewardModel):
    """Head ``h`` says ``weight[h] * sum of numbers + length of the template``."""

    name = "sum"

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.arange(1.0, config.heads + 1))

    @classmethod
    def create(cls, *, seed=0, **options):
        return cls(SumConfig(**options))

    def forward(self, inputs):
        lengths = torch.tensor([float(len(t)) for t in inputs.templates])[inputs.template_index]
        return inputs.values.sum(dim=1)[:, None] * self.weight + lengths[:, None]


def batch():
    """Three templates, one of them unused, of one, three and no numbers."""
    return TextBatch(
        templates=("x {:.1f}", "unused", "{:.0f} {:.0f} {:.1f}", "none"),
        template_index=np.array([2, 0, 3, 2, 0], np.int32),
        numbers=np.array([1, 2, 0.5, -1.5, 4, 5, 0.5, 7.5]),
        offsets=np.array([0, 3, 4, 4, 7, 8]),
        card_hash="card-a",
    )


SUMS = [3.5, -1.5, 0.0, 9.5, 7.5]
LENGTHS = [20, 8, 4, 20, 8]


def test_encode_pads_numbers_and_drops_unused_templates():
    encoded = encode(batch())
    assert encoded.templates == ("x {:.1f}", "{:.0f} {:.0f} {:.1f}", "none")
    assert encoded.template_index.tolist() == [1, 0, 2, 1, 0]
    assert encoded.values.tolist() == [[1, 2, 0.5], [-1.5, 0, 0], [0, 0, 0], [4, 5, 0.5], [7.5, 0, 0]]
    assert encoded.mask.tolist() == [[True] * 3, [True, False, False], [False] * 3, [True] * 3, [True, False, False]]


def test_one_head_is_scaled_to_the_labels_units_and_its_std_is_the_noise():
    model = SumModel.create()
    model.offset.fill_(-5)
    model.scale.fill_(2)
    model.noise.fill_(0.25)
    prediction = model.predict(batch())
    assert prediction.mean.tolist() == [2 * (s + n) - 5 for s, n in zip(SUMS, LENGTHS, strict=True)]
    assert prediction.std.tolist() == [0.25] * 5


def test_several_heads_give_a_mean_drawn_to_the_labels_and_a_calibrated_standard_deviation():
    model = SumModel.create(heads=3)
    model.scale.fill_(2)
    model.offset.fill_(-5)
    model.calibration.fill_(1.5)
    model.noise.fill_(0.25)
    prediction = model.predict(batch())
    heads = np.outer(SUMS, [1, 2, 3]) + np.array(LENGTHS)[:, None]
    mean, std = heads.mean(axis=1), heads.std(axis=1, ddof=1)
    # The product of two densities of a reward: around the heads' mean, and around the labels' with three of their std.
    precision = 1 / np.maximum(std, 1e-9) ** 2
    np.testing.assert_allclose(prediction.mean, 2 * mean * precision / (precision + 1 / 9) - 5, rtol=1e-6)
    np.testing.assert_allclose(prediction.std, np.hypot(1.5 * 2 * std, 0.25), rtol=1e-6)


def test_heads_that_agree_are_believed_however_far_they_are_from_the_labels():
    model = SumModel.create(heads=3)
    agreeing = model.predict(batch()).mean[np.array(SUMS) == 0]
    np.testing.assert_allclose(agreeing, np.array(LENGTHS)[np.array(SUMS) == 0], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_micro_batches_keep_the_order(size):
    model = SumModel.create()
    expected = model.predict(batch()).mean.tolist()
    model.micro_batch = size
    assert model.predict(batch()).mean.tolist() == expected


def test_no_texts_give_no_rewards_whatever_the_heads():
    prediction = SumModel.create(heads=3).predict([])
    assert prediction.mean.shape == prediction.std.shape == (0,)


def test_each_head_speaks_in_the_units_of_the_labels():
    model = SumModel.create(heads=3)
    model.offset.fill_(-2.0)
    model.scale.fill_(0.5)
    expected = (np.outer(SUMS, [1, 2, 3]) + np.array(LENGTHS)[:, None]) * 0.5 - 2.0
    np.testing.assert_allclose(model.by_head(batch()), expected)


def test_heads_are_asked_alone_and_together_in_turn_in_ever_new_words(causal):
    """What is written for words that come later stands in a table that was made when others were asked."""
    texts = [TextBatch.from_strings([f"angle in {unit}: {x}.5" for x in range(4)]) for unit in "abcdefg"]
    for name, options in (("no-lm", {}), (f"hf:{causal}", SIZES)):
        model = create_reward_model(name, seed=0, heads=1, **options)
        model.prepare(texts[0])
        model.accept_random_weights().eval()
        ways = [lambda t, m=model: m.predict(t).mean, lambda t, m=model: m.by_head(t)[:, 0]]
        before = [ways[i % 2](text) for i, text in enumerate(texts)]
        again = [ways[1 - i % 2](text) for i, text in enumerate(texts)]
        np.testing.assert_allclose(before, again, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_predict_keeps_the_mode_and_leaves_no_gradient(training):
    model = SumModel.create().train(training)
    model.predict(batch())
    assert model.training is training
    assert model.weight.grad is None
    model(encode(batch())).sum().backward()
    assert model.weight.grad.item() == sum(SUMS)


def test_texts_of_another_card_are_refused_and_plain_strings_are_not():
    model = SumModel.create()
    model.card_hash = "card-a"
    assert len(model.predict(batch())) == 5
    assert len(model.predict(["x 1.5"])) == 1
    with pytest.raises(ModelError, match="texts of card card-b, model of card card-a"):
        model.predict(replace(batch(), card_hash="card-b"))


def test_casting_keeps_offset_scale_and_noise_in_float32():
    model = SumModel.create()
    model.offset.fill_(-1234.567)
    model.bfloat16()
    assert model.weight.dtype == torch.bfloat16
    assert model.offset.item() == np.float32(-1234.567)
    assert {t.dtype for t in (model.offset, model.scale, model.noise, model.calibration, model.spread)} == {
        torch.float32
    }
    assert model.float().weight.dtype == torch.float32
    assert set(model.state_dict()) == {"offset", "scale", "noise", "calibration", "spread", "weight"}


def test_what_was_saved_is_restored(tmp_path):
    model = SumModel.create(heads=2)
    model.card_hash, model.fitted_on = "card-a", {"ratings": 3}
    model.offset.fill_(0.1)
    restored = SumModel.restore(*read_files(model.save(tmp_path)))
    assert (restored.card_hash, restored.fitted_on) == ("card-a", {"ratings": 3})
    assert restored.digest == model.digest
    assert not restored.training


def test_weights_of_another_shape_are_refused(tmp_path):
    manifest, tensors, texts = read_files(SumModel.create(heads=2).save(tmp_path))
    for damaged in ({**tensors, "weight": tensors["weight"][:1]}, {"offset": tensors["offset"]}, {}):
        with pytest.raises(ModelError, match="weights fit the configuration"):
            SumModel.restore(manifest, damaged, texts)


def test_describe_counts_parameters():
    said = SumModel.create(heads=3).describe()
    assert (said["model"], said["parameters"], said["trainable"]) == ("sum", 3, 3)
    assert re.fullmatch("[0-9a-f]{16}", said["digest"])


def test_number_features_are_sines_cosines_logarithm_and_the_value():
    features = NumberFeatures(4, frequencies=(-1, 0))
    torch.nn.init.eye_(features.project.weight)
    torch.nn.init.zeros_(features.project.bias)
    wide = NumberFeatures(6, frequencies=(-1, 0))
    torch.nn.init.eye_(wide.project.weight)
    torch.nn.init.zeros_(wide.project.bias)
    for value in (0.0, 0.3, -2.5, 1000.0):
        by_hand = [np.sin(np.pi * value / 2), np.sin(np.pi * value), np.cos(np.pi * value / 2), np.cos(np.pi * value)]
        by_hand += [np.sign(value) * np.log1p(abs(value)), value / 10]
        np.testing.assert_allclose(wide(torch.tensor([value]))[0].detach(), by_hand, atol=2e-3, rtol=1e-5)
        np.testing.assert_allclose(features(torch.tensor([[value]]))[0, 0].detach(), by_hand[:4], atol=2e-3, rtol=1e-5)


def test_number_features_in_bfloat16_still_see_a_small_step_of_a_large_angle():
    features = NumberFeatures(12).bfloat16()
    near = features(torch.tensor([6.25, 6.27]))  # 6.27 is not a bfloat16
    assert near.dtype == torch.bfloat16
    assert (near[0] != near[1]).any()


class TestContract(RewardModelContract):
    """The contract, but for loading by name: this model is not installed."""

    def make_model(self):
        return SumModel.create(heads=2)

    def make_other(self):
        return SumModel.create(heads=3)

    test_saved_and_loaded = None


def test_a_fused_optimiser_that_hides_its_writes_changes_the_digest():
    model = create_reward_model("minilm", width=16, roles=8).eval()
    before = model.digest
    model.train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    assert model.eval().digest != before
