"""The seam every reward model stands behind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rmgym.errors import ModelError
from rmgym.prediction import Prediction as Prediction
from rmgym.text.batch import TextBatch


@runtime_checkable
class RewardModel(Protocol):
    """Anything that says what a step's text is worth.

    Rules, tested by :class:`rmgym.models.contract.RewardModelContract`, which your own model's tests can inherit:

    * ``predict`` is a pure function of the text: it does not depend on batch size, order or earlier calls.
    * ``save`` followed by :func:`rmgym.load_reward_model` gives the same predictions in another process.
    * ``copy.deepcopy`` shares the model (environments are deep-copied by Gymnasium; weights should not be).
    """

    @property
    def name(self) -> str:
        """The registered name, such as ``minilm``."""
        ...

    @property
    def card_hash(self) -> str | None:
        """Hash of the card whose texts it was fitted on; None where it takes any text."""
        ...

    @property
    def digest(self) -> str:
        """Identity of weights and configuration (hex); equal digests predict equally."""
        ...

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """Score ``B`` texts; plain strings are turned into a :class:`TextBatch` first (:func:`as_texts`).

        Raises:
            ModelError: the texts are not of the kind the model was fitted on, or are one text alone.
        """
        ...

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to a folder, atomically: a failure leaves what was there before intact."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-able facts: name, digest, parameters, what it was fitted on."""
        ...


def as_texts(texts: TextBatch | Sequence[str]) -> TextBatch:
    """Return a :class:`TextBatch`, made from plain strings if need be.

    Raises:
        ModelError: it is one text alone, which would be read letter by letter, or holds what is no text.
    """
    if isinstance(texts, TextBatch):
        return texts
    if isinstance(texts, str | bytes):
        raise ModelError("a model scores a sequence of texts", got=texts, fix="pass a list of one text: [text]")
    texts = list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError("a model scores texts", got=f"row {row}: {text!r}", fix="pass strings, or a TextBatch")
    return TextBatch.from_strings(texts)


def check_fitted(model: RewardModel) -> None:
    """Refuse a model whose weights are those it was made with: its rewards would be noise that looks like rewards.

    A model says so by an attribute ``is_fitted``; one without it, such as a control, is taken as it is.

    Raises:
        ModelError: it was not fitted.
    """
    if not getattr(model, "is_fitted", True):
        raise ModelError(
            "a reward model is fitted before it rewards anything",
            got=f"{model.name!r} with the weights that it was made with",
            fix="fit it: rmgym.fit(model, labels), or 'rmgym fit'; or name a control: 'random', 'constant', 'true' "
            "(to measure speed alone: model.accept_random_weights())",
        )
