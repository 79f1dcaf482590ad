"""MiniLM with real weights: late fusion is exact, numbers count by every road, no score depends on the batch."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import ModelError
from rmgym.models import create_reward_model
from rmgym.models.backbones import backbone as backbones
from rmgym.models.backbones.weights import weights_folder
from rmgym.models.base import as_texts
from rmgym.models.contract import RewardModelContract
from rmgym.models.neural import encode
from rmgym.models.readers.digits import read_texts, spaced_digits
from rmgym.models.readers.hashing import slot_names
from rmgym.text.batch import TextBatch

FUSIONS = ("late", "early", "digits")
SMALL = {"width": 32, "roles": 16}


def step_texts(rows):
    return [f"Angle in rad: {a:.3f}, action: {word}, torque: {b:.2f}." for a, word, b in rows]


ROWS = st.lists(
    st.tuples(st.floats(-3, 3), st.sampled_from(["push left", "push right"]), st.floats(-2, 2)), min_size=1, max_size=6
)


class TestMiniLM(RewardModelContract):
    def make_model(self):
        return create_reward_model("minilm", seed=1, **SMALL)


class TestEnsemble(RewardModelContract):
    def make_model(self):
        return create_reward_model("ensemble", seed=1, heads=3, **SMALL)


class TestTunedWhole(RewardModelContract):
    def make_model(self):
        return create_reward_model("minilm", seed=1, tune="whole", **SMALL)


@pytest.fixture(scope="module", params=FUSIONS)
def model(request):
    return create_reward_model("minilm", seed=0, fusion=request.param, **SMALL)


@settings(max_examples=10)
@given(ROWS)
def test_scores_do_not_depend_on_company_or_order(model, rows):
    texts = step_texts(rows)
    together = model.predict(texts).mean
    alone = np.concatenate([model.predict([text]).mean for text in texts])
    backwards = model.predict(texts[::-1]).mean[::-1]
    padded = model.predict([*texts, "A much longer text without any number at all, that makes the others be padded."])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, backwards, atol=1e-5)
    np.testing.assert_allclose(together, padded.mean[: len(texts)], atol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_numbers_and_words_both_reach_the_reward(fusion):
    model = create_reward_model("minilm", seed=0, fusion=fusion, **SMALL)
    base, number, word = model.predict(
        step_texts([(1, "push left", 1), (1.5, "push left", 1), (1, "push right", 1)])
    ).mean
    assert abs(base - number) > 1e-5
    assert abs(base - word) > 1e-5


def test_late_fusion_reads_a_template_once(monkeypatch, tmp_path):
    monkeypatch.setenv("RMGYM_CACHE", str(tmp_path))
    model = create_reward_model("minilm", seed=0, **SMALL)
    reads = []
    lm = model.tower.lm

    def counting(**inputs):
        reads.append(inputs["input_ids"].shape)
        return lm(**inputs)

    monkeypatch.setitem(model.tower.__dict__, "lm", counting)
    texts = step_texts([(i / 7, "push left" if i % 2 else "push right", 0.5) for i in range(200)])
    model.predict(texts)
    model.predict(texts)
    templates = model.encode(as_texts(texts)).templates
    distinct = len({*templates, *(name.clause for template in templates for name in slot_names(template))})
    assert sum(shape[0] for shape in reads) == distinct  # each read once for all 400 scores
    again = create_reward_model("minilm", seed=0, **SMALL)
    monkeypatch.setitem(again.tower.__dict__, "lm", counting)
    np.testing.assert_array_equal(again.predict(texts).mean, model.predict(texts).mean)
    assert sum(shape[0] for shape in reads) == distinct  # the next model, or process, finds them on disk


def test_a_frozen_model_on_digits_reads_each_text_once_per_fit(monkeypatch):
    model = create_reward_model("minilm", seed=0, fusion="digits", heads=1, **SMALL)
    texts = step_texts([(0.5, "push left", 1), (-1.25, "push right", -0.5), (2, "push left", 0)])
    expected = model.predict(texts).mean
    reads = []

    def counting(tower, unread):
        reads.append(len(unread))
        return read_texts(tower, unread)

    monkeypatch.setattr("rmgym.models.readers.digits.read_texts", counting)
    model.train()
    for _ in range(3):
        rewards = model(encode(TextBatch.from_strings(texts)))[:, 0]
        np.testing.assert_allclose(rewards.detach().numpy(), expected, atol=1e-5)
    assert reads == [3]
    rewards.sum().backward()
    assert model.heads[0].hidden.weight.grad.abs().sum() > 0


def test_slots_are_the_mask_token_between_the_words():
    model = create_reward_model("minilm", **SMALL)
    ids, slots = model.tower.backbone.tokens("angle: {:.2f} rad")
    assert model.tower.backbone.tokenizer.convert_ids_to_tokens(ids) == [
        "[CLS]",
        "angle",
        ":",
        "[MASK]",
        "ra",
        "##d",
        "[SEP]",
    ]
    assert slots == (3,)


def test_frozen_tower_is_shared_and_not_saved(tmp_path):
    first, second = create_reward_model("minilm", seed=0, **SMALL), create_reward_model("minilm", seed=1, **SMALL)
    assert first.tower.lm is second.tower.lm
    first.save(tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 4_000_000
    assert not any(name.startswith("tower") for name in first.state_dict())


def test_tuning_whole_changes_this_model_and_no_other():
    text = ["Speed: 0.25."]
    frozen = create_reward_model("minilm", seed=0, **SMALL)
    tuned = create_reward_model("minilm", seed=0, tune="whole", **SMALL)
    before = frozen.predict(text).mean
    assert tuned.predict(text).mean == pytest.approx(before, abs=1e-5)
    tuned.train()
    optimiser = torch.optim.SGD([p for n, p in tuned.named_parameters() if n.startswith("tower.")], lr=0.1)
    tuned(encode(TextBatch.from_strings(text))).sum().backward()
    optimiser.step()
    assert abs(tuned.predict(text).mean - before) > 1e-4
    assert frozen.predict(text).mean == pytest.approx(before, abs=1e-6)


def test_gradients_flow_after_predicting():
    """States kept from inference mode must not poison a later fit."""
    model = create_reward_model("minilm", seed=0, **SMALL)
    model.predict(["Speed: 0.25."])
    model.train()
    model(encode(TextBatch.from_strings(["Speed: 0.25."]))).sum().backward()
    assert model.heads.bind.grad.abs().sum() > 0


def test_ensemble_std_is_the_disagreement_of_its_heads():
    model = create_reward_model("ensemble", seed=0, heads=3, **SMALL)
    batch = TextBatch.from_strings(["Speed: 0.25.", "Speed: 2."])
    with torch.no_grad():
        heads = model(encode(batch)).numpy()
    prediction = model.predict(batch)
    std = heads.std(axis=1, ddof=1)
    np.testing.assert_allclose(prediction.mean, heads.mean(axis=1) / (1 + std**2 / 9), atol=1e-6)
    np.testing.assert_allclose(prediction.std, std, atol=1e-6)
    assert (prediction.std > 0).all()


def test_seed_decides_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = create_reward_model("minilm", seed=7, **SMALL)
    assert torch.equal(torch.rand(3), expected)
    assert first.digest == create_reward_model("minilm", seed=7, **SMALL).digest
    assert first.digest != create_reward_model("minilm", seed=8, **SMALL).digest


def test_spaced_digits():
    assert spaced_digits("angle: {:.2f} rad, torque: {:.0f}", [-0.52, 3]) == "angle: - 0 . 5 2 rad, torque: + 3"


@pytest.mark.parametrize(
    ("text", "refused"),
    [("状态: 倒立摆角度为 0.52 弧度， 行动: 向左推", True), ("Angle in rad: 0.52, action: push left.", False)],
)
def test_text_of_unknown_tokens_is_refused(text, refused):
    model = create_reward_model("minilm", **SMALL)
    batch = TextBatch.from_strings([*(f"Angle in rad: 0.5, word {i}." for i in "abcdefghijklmnopqrst"), text])
    if refused:
        with pytest.raises(ModelError, match=r"(?s)unknown.*seq2seq"):
            model.prepare(batch)
    else:
        model.prepare(batch)


@pytest.mark.parametrize("fusion", ["early", "digits"])
def test_too_long_a_text_is_refused_where_it_is_read_whole(fusion):
    with pytest.raises(ModelError, match=r"(?s)at most 512 tokens.*fix: shorten"):
        create_reward_model("minilm", fusion=fusion, **SMALL).predict(["word " * 600])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fuson": "late"}, "did you mean 'fusion'"),
        ({"fusion": "lat"}, "'late', 'early' or 'digits' .at 'fusion'"),
        ({"heads": 0}, "sizes are positive"),
        ({"roles": 0}, "sizes are positive"),
        ({"backbone": "nowhere/model"}, "built-in name or a local folder"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ModelError, match=message):
        create_reward_model("minilm", **options)


def test_altered_weights_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in weights_folder("minilm").iterdir():
        if file.is_file() and file.name != "model.safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.safetensors").write_bytes(b"not the published weights")
    monkeypatch.setattr("rmgym.models.backbones.backbone.weights_folder", lambda name: folder)
    with pytest.raises(ModelError, match="published ones"):
        backbones._load.__wrapped__("minilm", "float32")


def test_deepcopy_shares_the_model():
    model = create_reward_model("minilm", **SMALL)
    assert copy.deepcopy({"model": model})["model"] is model
