"""A prefix read once: exact, whatever the templates, and forgotten when the language model changes."""

import numpy as np
import pytest
import torch

from rmgym.models import create_reward_model
from rmgym.models.neural import encode
from rmgym.models.readers.early import MOST_PREFIXES, read_early
from rmgym.text.batch import TextBatch
from tests.models.tiny import SIZES, save_causal

TEXTS = [
    *(f"Keep the pole upright. Angle in rad: {a:.2f}, torque: {-a / 3:.2f}. It goes on." for a in (0.5, -1.25, 3)),
    "Speed: 2.5.",
    "Speed: -7.5.",
    "5.5 is where it begins.",
    "There is no number here.",
    "It ends with 7.5",
]


@pytest.fixture(params=["llama", "gpt2"])
def model(request, tmp_path):
    folder = save_causal(tmp_path, kind=request.param)
    return create_reward_model(f"hf:{folder}", seed=0, fusion="early", **SIZES).eval()


def both(model, texts):
    """States by the shared prefix and by whole rows."""
    inputs = encode(TextBatch.from_strings(texts))
    with torch.no_grad():
        numbers = model.reader.numbers(inputs.values)
        return model.reader.prefixes(model.tower, inputs, numbers), read_early(model.tower, inputs, numbers)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:3], TEXTS[5:6], TEXTS[6:7], TEXTS[::-1]])
def test_states_after_a_shared_prefix_are_those_of_whole_rows(model, texts):
    for _ in range(2):  # also when the prefix is known
        (states, mask), (expected, real) = both(model, texts)
        assert torch.equal(mask, real)
        torch.testing.assert_close(states[mask], expected[real], atol=1e-5, rtol=0)


def test_scores_are_those_of_whole_rows(model):
    shared = model.predict(TEXTS).mean
    model.reader.prefixes = None
    np.testing.assert_allclose(shared, model.predict(TEXTS).mean, atol=1e-5)


def test_a_prefix_is_run_once_and_rows_run_only_their_rest(model, monkeypatch):
    lengths = []
    forward = model.tower.lm.forward

    def counting(*args, **inputs):
        lengths.append((inputs["input_ids"] if "input_ids" in inputs else inputs["inputs_embeds"]).shape[:2])
        return forward(*args, **inputs)

    ids, slots = model.tower.backbone.tokens("Keep the pole upright. Angle in rad: {:.2f}, torque: {:.2f}. It goes on.")
    monkeypatch.setattr("rmgym.models.readers.early._cache_name", _named_by(model.tower.lm))
    monkeypatch.setattr(model.tower.lm, "forward", counting)
    model.predict(TEXTS[:3])
    model.predict(TEXTS[:2])
    rest = len(ids) - slots[0]
    assert lengths == [(1, slots[0]), (3, rest), (2, rest)]


def _named_by(lm):
    from rmgym.models.readers.early import _cache_name

    name = _cache_name(lm)
    return lambda _: name


def test_earlier_rows_leave_no_trace_in_a_prefix(model):
    first = model.predict(TEXTS[:1]).mean
    model.predict([TEXTS[1]] * 5)
    np.testing.assert_array_equal(model.predict(TEXTS[:1]).mean, first)


def test_a_prefix_is_forgotten_when_the_language_model_changes(tmp_path):
    folder = save_causal(tmp_path)
    model = create_reward_model(f"hf:{folder}", seed=0, fusion="early", tune="whole", **SIZES).eval()
    before = model.predict(TEXTS).mean
    with torch.no_grad():
        model.tower.lm.get_input_embeddings().weight.add_(0.1)
    changed = model.predict(TEXTS).mean
    model.reader.prefixes = None
    np.testing.assert_allclose(changed, model.predict(TEXTS).mean, atol=1e-5)
    assert np.abs(changed - before).max() > 1e-3


def test_gradients_reach_numbers_and_so_no_prefix_is_used_in_fitting(model):
    model.train()
    model(encode(TextBatch.from_strings(TEXTS))).sum().backward()
    assert model.reader.numbers.project.weight.grad.abs().sum() > 0
    assert not model.reader.prefixes.kept


def test_only_so_many_prefixes_are_kept(model):
    model.predict([f"Room {chr(65 + i % 26)}{chr(65 + i // 26)}: 2.5" for i in range(MOST_PREFIXES + 9)])
    assert len(model.reader.prefixes.kept) == MOST_PREFIXES


def test_an_encoder_reads_whole_rows(encoder):
    assert create_reward_model(f"hf:{encoder}", fusion="early", **SIZES).reader.prefixes is None
