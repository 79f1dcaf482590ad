"""What all neural reward models share: scaling, prediction in micro-batches, identity, saving and loading.

A subclass says how templates and numbers become a standardised reward (``forward``) and nothing else.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.base import Prediction, as_texts
from rmgym.models.encoding import Encoded as Encoded
from rmgym.models.encoding import encode as encode
from rmgym.models.files import digest_of, write_model
from rmgym.models.memory import keep_freed_memory
from rmgym.models.precision import own_precision
from rmgym.models.sizes import check_weights, misfit
from rmgym.text.batch import TextBatch

PRIOR = 3.0
"""Standard deviation that a reward is believed to have before any is known, in that of the labels."""


class NeuralRewardModel(nn.Module):
    """Base of the trainable models.

    A model works in standardised units; ``offset`` and ``scale`` map to the units of the labels. They are set once, by
    ``fit``, and saved with the model. Of ``m`` and ``s``, mean and standard deviation of the heads (0 for a single
    one), a prediction's mean is ``m / (1 + (s / PRIOR)**2)``: where heads disagree by more than labels differ, it is
    drawn to the labels' mean. That is what to expect of a reward that was normal around 0 with ``PRIOR``, and is ``m``
    give or take ``s`` (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 2.141); without ratings, ``PRIOR``
    is in units of ``spread``, what the rewards of the compared steps differ by. Its std is
    ``sqrt((calibration * s)**2 + noise**2)``; both factors come of labels that heads were not given.

    ``fitted_on`` is what it was fitted on; where that is nothing, wrappers and agents refuse the model.

    Args:
        config: the model's frozen options.
        card_hash: card whose texts it takes, None for any text.
    """

    name: str
    micro_batch: int = 256  # what a micro-batch makes of itself still fits a core's cache; 1024 was a third slower
    learning_rate: float = 1e-3  # at which it is fitted where the options say nothing else
    most_drawn: int = 32  # labels of a step then, where there are many
    offset: Tensor
    scale: Tensor
    noise: Tensor
    calibration: Tensor
    spread: Tensor

    def __init__(self, config: Any, card_hash: str | None = None) -> None:
        super().__init__()
        self.config = config
        self.card_hash = card_hash
        self.fitted_on: dict[str, Any] = {}
        self._digest: tuple[tuple[int, int], str] | None = None
        self._changes = 0
        self._tensors: list[Tensor] | None = None  # walking the module tree takes longer than a step of an environment
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("noise", torch.zeros(()))
        self.register_buffer("calibration", torch.ones(()))
        self.register_buffer("spread", torch.ones(()))

    @classmethod
    @abstractmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """Make an unfitted model; random weights come from ``seed`` alone.

        Raises:
            ModelError: an option is unknown or impossible.
        """

    @abstractmethod
    def forward(self, inputs: Encoded) -> Tensor:
        """Standardised rewards ``float32 [B, heads]``."""

    def encode(self, texts: TextBatch) -> Encoded:
        """Texts as tensors; by default with their phrases written into the templates."""
        return encode(texts.filled())

    def prepare(self, texts: TextBatch) -> None:
        """Get ready for being fitted on these texts (train a tokenizer, refuse unreadable text); default: nothing.

        Raises:
            ModelError: the model cannot read these texts.
        """

    def has_read(self, texts: TextBatch) -> bool:
        """Whether it was fitted on texts like these, so that it can go on with labels of them; default: yes."""
        del texts
        return True

    def extra_texts(self) -> dict[str, str]:
        """Further files to save beside the weights, by key."""
        return {}

    @classmethod
    def restore(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> Self:
        """Rebuild what :meth:`save` wrote; a subclass with further files overrides :meth:`build`.

        Raises:
            ModelError: weights and configuration do not fit, or a further file is damaged.
        """
        cls.check(manifest, tensors)
        model = cls.build(manifest, texts)
        check_weights(model, tensors)
        try:
            model.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise misfit(str(error)) from error
        model.card_hash = manifest["card_hash"]
        model.fitted_on = manifest.get("fitted_on", {})
        return model.eval()

    @classmethod
    def check(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Refuse weights of other sizes than the configuration states, before anything of those sizes is made.

        Who overrides it uses :func:`rmgym.models.sizes.check_sizes`; by default sizes are compared in loading alone.

        Raises:
            ModelError: they do not fit.
        """

    @classmethod
    def build(cls, manifest: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """An unfitted model with a saved configuration (``config`` of the manifest) and saved further files."""
        del texts
        return cls.create(**manifest["config"])

    @property
    def is_fitted(self) -> bool:
        """Whether its rewards come of labels, as ``fitted_on`` tells."""
        return bool(self.fitted_on)

    def accept_random_weights(self) -> Self:
        """Let it reward steps although it was not fitted, for measuring speed and for tests.

        Its rewards mean nothing, and ``fitted_on`` says so, also in its folder.
        """
        self.fitted_on = {"nothing": "random weights, on purpose"}
        return self

    @property
    def head_count(self) -> int:
        """How many rewards ``forward`` gives for each step."""
        return int(getattr(self.config, "heads", 1))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.scale.device

    @property
    def digest(self) -> str:
        """See :class:`rmgym.models.base.RewardModel`; computed again only where a weight was written since.

        Torch counts the writes to a tensor. The count sees ``load_state_dict``, ``fill_`` and most optimisers; fused
        ones (AdamW) it does not see, so a model that was in training mode forgets its digest. Nor does it see a write
        through ``.data`` or ``.numpy()``, another tensor in a parameter's place, nor a change of further files: who
        makes one does so (``_changed``).
        """
        version = self._state_version
        if self.training or self._digest is None or self._digest[0] != version:
            config = {"model": self.name, **asdict(self.config)}
            self._digest = (version, digest_of(config, self.state_dict(), self.extra_texts()))
        return self._digest[1]

    @property
    def _state_version(self) -> tuple[int, int]:
        """Another one after every change that can be noticed, see :attr:`digest`."""
        if self._tensors is None:
            self._tensors = [*self.parameters(), *self.buffers()]
        return self._changes, sum(t._version for t in self._tensors)

    def _changed(self) -> None:
        """Say that weights or further files may be others now."""
        self._changes += 1
        self._tensors = None

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation."""
        if mode or self.training:
            self._changed()
        super().train(mode)
        return self

    @torch.inference_mode()
    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """See :class:`rmgym.models.base.RewardModel`; exact in fp32, independent of batch size to 1e-5 of the scale.

        ``torch.autocast`` around the call does not count: products are those of the model's own precision.

        Raises:
            ModelError: the texts come from another card than the model was fitted on.
        """
        batch = as_texts(texts)
        self._refuse_other_card(batch)
        if not len(batch):
            return Prediction(np.zeros(0, np.float32), np.zeros(0, np.float32))
        keep_freed_memory()
        with self._scoring():
            inputs = self.encode(batch)
            standardised = self.rewards(inputs)
            apart = self.disagreement(inputs, standardised)
        scale = self.scale.cpu()
        mean = self.combined(standardised, apart)
        std = torch.hypot(apart * scale * self.calibration.cpu(), self.noise.cpu())
        return Prediction((mean * scale + self.offset.cpu()).numpy(), std.numpy().astype(np.float32))

    @torch.inference_mode()
    def by_head(self, texts: TextBatch) -> npt.NDArray[np.float64]:
        """What each head says of some texts, in the units of the labels, ``float64 [B, heads]``.

        Raises:
            ModelError: the texts come from another card than the model was fitted on.
        """
        self._refuse_other_card(texts)
        with self._scoring():
            standardised = self.rewards(self.encode(texts))
        return (standardised.double() * self.scale.cpu() + self.offset.cpu()).numpy()

    def _refuse_other_card(self, texts: TextBatch) -> None:
        if self.card_hash and texts.card_hash and texts.card_hash != self.card_hash:
            raise ModelError(
                "a model scores texts of the card it was fitted on",
                got=f"texts of card {texts.card_hash}, model of card {self.card_hash}",
                fix="use the environment, card and language it was fitted for, or fit it on this one",
            )

    @contextmanager
    def _scoring(self) -> Generator[None]:
        """Without dropout, in the model's own precision."""
        if was_training := self.training:
            self.eval()
        try:
            with own_precision(self.device):
                yield
        finally:
            if was_training:
                self.train()

    def disagreement(self, inputs: Encoded, rewards: Tensor) -> Tensor:
        """Standard deviation of the heads, ``[B]``, given their standardised rewards ``[B, heads]``; 0 for one head."""
        del inputs
        return rewards.std(dim=1) if rewards.shape[1] > 1 else torch.zeros(len(rewards))

    def combined(self, rewards: Tensor, apart: Tensor) -> Tensor:
        """Standardised mean ``[B]`` of heads ``[B, heads]`` that lie so far apart, ``[B]``."""
        return rewards.mean(dim=1) / (1 + (apart / (PRIOR * self.spread.cpu())) ** 2)

    def rewards(self, inputs: Encoded) -> Tensor:
        """Standardised rewards ``float32 [B, heads]`` on the CPU, without gradients, in micro-batches."""
        order = inputs.template_index.argsort(stable=True)  # rows of one template need no padding
        pieces = [
            self(inputs.take(rows).to(self.device)).float().cpu() for rows in torch.split(order, self.micro_batch)
        ]
        rewards = torch.empty(len(inputs), pieces[0].shape[1])
        rewards[order] = torch.cat(pieces)
        return rewards

    def save(self, path: str | os.PathLike[str]) -> Path:
        """See :class:`rmgym.models.base.RewardModel`."""
        return write_model(path, self._manifest(), self.state_dict(), self.extra_texts())

    def copy(self) -> Self:
        """Another one with the same weights (models are shared by who uses them; ``copy.deepcopy`` gives itself)."""
        return self.restore(self._manifest(), self.state_dict(), self.extra_texts()).to(self.device)

    def _manifest(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "config": asdict(self.config),
            "card_hash": self.card_hash,
            "digest": self.digest,
            "fitted_on": self.fitted_on,
        }

    def describe(self) -> dict[str, Any]:
        """See :class:`rmgym.models.base.RewardModel`."""
        return {
            "model": self.name,
            "config": asdict(self.config),
            "digest": self.digest,
            "card_hash": self.card_hash,
            "parameters": sum(p.numel() for p in self.parameters()),
            "trainable": sum(p.numel() for p in self.parameters() if p.requires_grad),
            "fitted_on": self.fitted_on,
        }

    def push_to_hub(self, repo_id: str, *, token: str | None = None, private: bool = True) -> str:
        """Upload the model to the Hugging Face hub; see :func:`rmgym.models.hub.push_to_hub`."""
        from rmgym.models.hub import push_to_hub

        model: Any = self
        return push_to_hub(model, repo_id, token=token, private=private)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast the weights (``to``, ``half``, ...); what is in the units of labels stays in float32.

        In bfloat16 an offset of -1,200 would be off by up to four.
        """
        kept = {name: self.get_buffer(name) for name in ("offset", "scale", "noise", "calibration", "spread")}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in kept.items():
            setattr(self, name, value.to(self.get_buffer(name).device))
        self._changed()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Environments are deep-copied by Gymnasium; the model is shared."""
        return self
