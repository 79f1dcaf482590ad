"""SmolLM2 with its real weights, converted once per run into a cache of the tests' own."""

import numpy as np
import pytest
import torch

from rmgym.environments.collect import collect
from rmgym.feedback.labels import Labels, Ratings
from rmgym.feedback.queries import select_steps
from rmgym.metrics.ranking import r_squared, spearman
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.contract import RewardModelContract
from rmgym.models.neural import encode
from rmgym.models.readers.early import read_early
from rmgym.text import textualizer
from rmgym.text.batch import TextBatch
from rmgym.training import FitOptions, fit

SMALL = {"width": 32, "roles": 16}

pytestmark = pytest.mark.usefixtures("smollm2")


class TestSmolLM2(RewardModelContract):
    def make_model(self):
        return create_reward_model("smollm2", seed=1, **SMALL)


def test_the_converted_model_still_speaks_english():
    """Weights that were taken apart wrongly give noise, not Paris."""
    backbone = load_backbone("smollm2")
    ids = torch.tensor([[*backbone.prefix, *backbone.encode_piece("The capital of France is")]])
    with torch.no_grad():
        last = backbone.lm(input_ids=ids).last_hidden_state[0, -1]
    next_token = (backbone.lm.get_input_embeddings().weight @ last).argmax()
    assert backbone.tokenizer.decode(next_token) == " Paris"
    assert (backbone.causal, backbone.state_size, backbone.max_tokens) == (True, 576, 8192)
    assert backbone.tokenizer.convert_ids_to_tokens(backbone.encode_piece("0.52")) == ["0", ".", "5", "2"]


def test_sixty_ratings_of_pendulum_teach_late_fusion(tmp_path):
    """Held-out steps of other episodes are ranked with a Spearman correlation of at least 0.95."""
    steps = collect("Pendulum-v1", 1000, seed=0, reset_every=25, progress=False)
    unseen = collect("Pendulum-v1", 500, seed=10_000, reset_every=25, progress=False)
    say = textualizer("Pendulum-v1")
    texts = say.batch(steps)
    rows = select_steps(steps, texts, 60, method="coverage", seed=0)
    ratings = Ratings(texts=texts[rows], values=steps.true_reward[rows], groups=steps.episode[rows])
    options = FitOptions(max_steps=600, validation=0)
    fitted = fit("smollm2", Labels(ratings=ratings), options, out=tmp_path / "model", progress=False)
    predicted = fitted.model.predict(say.batch(unseen)).mean
    assert spearman(predicted, unseen.true_reward) > 0.95
    assert r_squared(predicted, unseen.true_reward) > 0.9
    low = load_reward_model(tmp_path / "model", dtype="bfloat16").predict(say.batch(unseen)).mean
    assert spearman(low, predicted) > 0.99
    assert sum(file.stat().st_size for file in (tmp_path / "model").iterdir()) < 10_000_000  # without the LM


def test_a_shared_prefix_is_exact():
    model = create_reward_model("smollm2", seed=0, fusion="early", **SMALL).eval()
    texts = [f"Keep the pole upright. Angle in rad: {a:.2f}, torque: {-a:.2f}." for a in (0.5, -2.5, 1.25)]
    inputs = encode(TextBatch.from_strings([*texts, "Speed: 1.5."]))
    with torch.no_grad():
        numbers = model.reader.numbers(inputs.values)
        states, mask = model.reader.prefixes(model.tower, inputs, numbers)
        expected, real = read_early(model.tower, inputs, numbers)
    assert torch.equal(mask, real)
    apart = (model.tower.scaled(states)[mask] - model.tower.scaled(expected)[real]).abs().max()
    assert apart < 1e-4  # of states of size one, after thirty layers
    shared = model.predict(texts).mean
    model.reader.prefixes = None
    np.testing.assert_allclose(shared, model.predict(texts).mean, atol=1e-5)
