"""The rules of :class:`rmgym.models.base.RewardModel` as tests that your own model's tests inherit.

.. code-block:: python

    from rmgym.models.contract import RewardModelContract

    class TestMyModel(RewardModelContract):
        def make_model(self):
            return MyModel.create(seed=0)

pytest then runs every rule on it. A broken rule is named in the failure. For ``load_reward_model`` to find the class of
a saved model, its package offers it as entry point in group ``rmgym.models``, under the model's name.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rmgym.errors import ModelError
from rmgym.models.base import Prediction, RewardModel
from rmgym.text.batch import TextBatch

_ELSEWHERE = """
import json, sys
import rmgym
from rmgym.text import TextBatch

folder, texts = json.load(sys.stdin)
prediction = rmgym.load_reward_model(folder, allow_remote=True).predict(TextBatch.from_json(texts))
print(json.dumps([prediction.mean.tolist(), prediction.std.tolist()]))
"""


class RewardModelContract:
    """Inherit, and say how the model is made.

    Attributes:
        tolerance: how far two scores of one text may be apart, relative to the spread of all scores and at least 1.
    """

    tolerance: float = 1e-5

    def make_model(self) -> RewardModel:
        """Make the model under test, the same at every call."""
        raise NotImplementedError

    def make_other(self) -> RewardModel | None:
        """Make one with other weights or options, to be told apart by its digest; None if there is none."""
        return None

    def texts(self) -> TextBatch:
        """At least two texts that the model can read; by default long and short ones in two languages."""
        return TextBatch.from_strings(
            [
                "cart position in m: 0.25, pole angle in rad: -0.04. Action: push left. The episode goes on.",
                "cart position in m: -1.50, pole angle in rad: 0.20. Action: push right. The episode terminated here.",
                "The light is red. Action: press the button.",
                "状态: 高度 (米): 12.5， 速度: -3。 行动: 等待。",
                "cart position in m: 0.25, pole angle in rad: -0.05. Action: push left. The episode goes on.",
                "灯是红的",
            ]
        )

    def test_shapes(self) -> None:
        """One finite mean and one std of at least zero per text, float32."""
        texts = self.texts()
        prediction = self.make_model().predict(texts)
        for name, values in (("mean", prediction.mean), ("std", prediction.std)):
            rule(values.shape == (len(texts),), f"{name} holds one number per text", values.shape)
            rule(values.dtype == np.float32, f"{name} is float32", values.dtype)
            rule(bool(np.isfinite(values).all()), f"{name} is finite", values)
        rule(bool((prediction.std >= 0).all()), "std is never negative", prediction.std)

    def test_empty_batch(self) -> None:
        """No texts, no rewards."""
        prediction = self.make_model().predict(self.texts()[[]])
        rule(prediction.mean.shape == prediction.std.shape == (0,), "an empty batch has shape (0,)", prediction)

    def test_pure(self) -> None:
        """The same text has the same score at every call, and nothing that was given is changed."""
        model, texts = self.make_model(), self.texts()
        before = texts.numbers.copy()
        first = model.predict(texts)
        model.predict(texts[::-1])
        self._same(model.predict(texts), first, "a score does not depend on earlier calls")
        rule(np.array_equal(texts.numbers, before), "predict leaves the texts as they are", texts.numbers)

    def test_batch_size(self) -> None:
        """A text has the same score alone as among others."""
        model, texts = self.make_model(), self.texts()
        together = model.predict(texts)
        alone = [model.predict(texts[[i]]) for i in range(len(texts))]
        joined = Prediction(np.concatenate([p.mean for p in alone]), np.concatenate([p.std for p in alone]))
        self._same(joined, together, "a score does not depend on batch size or padding")

    def test_order_and_duplicates(self) -> None:
        """A text has the same score wherever it stands and however often."""
        model, texts = self.make_model(), self.texts()
        rows = np.concatenate([np.arange(len(texts))[::-1], np.zeros(7, np.int64), np.arange(len(texts))])
        expected, mixed = model.predict(texts), model.predict(texts[rows])
        wanted = Prediction(expected.mean[rows], expected.std[rows])
        self._same(mixed, wanted, "a score does not depend on order or duplicates")

    def test_strings(self) -> None:
        """Plain strings score like the batch that renders to them."""
        model, texts = self.make_model(), self.texts()
        message = "strings and the TextBatch that renders to them have the same score"
        self._same(model.predict(texts.strings()), model.predict(texts), message)

    def test_one_text_alone(self) -> None:
        """A text that is not in a list is refused, not read letter by letter."""
        model, text = self.make_model(), self.texts().strings()[0]
        refused: list[Any] = [text, [text, 3]]  # the first is a sequence of strings to a type checker, too
        for wrong in refused:
            try:
                model.predict(wrong)
            except ModelError:
                continue
            rule(False, "predict refuses (ModelError) one text alone and what is no text: see as_texts", wrong)

    def test_random_state(self) -> None:
        """Scoring draws nothing from NumPy's or torch's global generators: the agent's exploration uses them."""
        import torch

        model, texts = self.make_model(), self.texts()
        numpy_before, torch_before = np.random.get_state(legacy=False), torch.get_rng_state()
        model.predict(texts)
        rule(str(np.random.get_state(legacy=False)) == str(numpy_before), "NumPy's random state is left alone")
        rule(torch.equal(torch.get_rng_state(), torch_before), "torch's random state is left alone")

    def test_saved_and_loaded(self, tmp_path: Path) -> None:
        """A loaded model scores as the saved one did, here and in another process, and has its digest."""
        from rmgym.models.registry import load_reward_model

        model, texts = self.make_model(), self.texts()
        expected = model.predict(texts)
        folder = model.save(tmp_path / "model")
        loaded = load_reward_model(folder, allow_remote=True)
        self._same(loaded.predict(texts), expected, "a loaded model scores like the saved one", 1e-6)
        rule(loaded.digest == model.digest, "a loaded model has the digest of the saved one", loaded.digest)
        rule(loaded.card_hash == model.card_hash, "a loaded model has the card of the saved one", loaded.card_hash)
        rule(loaded.name == model.name, "a loaded model has the name of the saved one", loaded.name)
        ran = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            input=json.dumps([str(folder), texts.to_json()]),
            capture_output=True,
            text=True,
            check=False,
        )
        rule(ran.returncode == 0, "a saved model loads in another process", ran.stderr[-2000:])
        mean, std = json.loads(ran.stdout.splitlines()[-1])
        elsewhere = Prediction(np.array(mean, np.float32), np.array(std, np.float32))
        self._same(elsewhere, expected, "a loaded model scores the same in another process", 1e-6)

    def test_digest(self) -> None:
        """The digest names weights and options: the same at every making, another for another model."""
        model, other = self.make_model(), self.make_other()
        rule(model.digest == self.make_model().digest, "the same model has the same digest", model.digest)
        before = model.digest
        model.predict(self.texts())
        rule(model.digest == before, "predicting does not change the digest", model.digest)
        if other is not None:
            rule(other.digest != model.digest, "a different model has a different digest", other.digest)

    def test_deepcopy(self) -> None:
        """Gymnasium deep-copies what environments hold; a model is shared."""
        model = self.make_model()
        rule(copy.deepcopy({"model": model})["model"] is model, "copy.deepcopy shares the model")

    def test_describe(self) -> None:
        """What it says about itself is JSON and names it."""
        model = self.make_model()
        facts = model.describe()
        rule(json.loads(json.dumps(facts)) is not None, "describe() is JSON-able", facts)
        rule(facts.get("model") == model.name, "describe() says the model's name under 'model'", facts)
        rule(facts.get("digest") == model.digest, "describe() says its digest", facts)

    def test_other_card(self) -> None:
        """A model of one card refuses the texts of another; a model of any card takes them."""
        model, texts = self.make_model(), replace(self.texts(), card_hash="of-another-card")
        if model.card_hash is None:
            rule(len(model.predict(texts)) == len(texts), "a model without a card takes any text")
            return
        try:
            model.predict(texts)
        except ModelError:
            return
        rule(False, "a model refuses (ModelError) texts of another card than its own", model.card_hash)

    def _same(self, got: Prediction, expected: Prediction, message: str, tolerance: float | None = None) -> None:
        spread = max(float(np.std(expected.mean)), 1.0) * (self.tolerance if tolerance is None else tolerance)
        for name in ("mean", "std"):
            apart = np.abs(getattr(got, name) - getattr(expected, name)).max(initial=0.0)
            rule(bool(apart <= spread), message, f"{name} differs by {apart:.3g}, allowed {spread:.3g}")


def rule(holds: bool, message: str, got: object = None) -> None:
    """Fail with the rule's name.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(f"rule broken: {message}" + ("" if got is None else f"; got {got}"))
