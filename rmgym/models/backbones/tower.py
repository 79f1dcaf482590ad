"""The language model of one reward model: shared where it is frozen, its own where it is tuned.

Three things are its business and nobody else's: which weights it runs with (LoRA's changes merged, unless they are
being trained), on what device and in which dtype, and whether it has changed since somebody kept what it made of a
text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from rmgym.models.backbones.backbone import Backbone, LanguageModel
from rmgym.models.backbones.lora import add_lora, is_lora, keep_only_lora, merged, plain_name
from rmgym.models.language_options import Tune
from rmgym.models.precision import for_keeps


class Tower(nn.Module):
    """A language model below heads.

    Args:
        backbone: where it comes from.
        tune: ``frozen``, ``lora`` or ``whole``.
        dtype: in which a frozen one, or what LoRA leaves alone, is kept while the heads are in float32.
        rank: of LoRA's changes.
        alpha: they are scaled by ``alpha / rank``.

    Attributes:
        lm: the Hugging Face model: the backbone's where it is frozen, and then no part of the module tree, so that it
            is neither trained nor saved; else a copy.
    """

    place: Tensor
    lm: LanguageModel

    def __init__(self, backbone: Backbone, tune: Tune, *, dtype: torch.dtype, rank: int, alpha: int) -> None:
        super().__init__()
        self.backbone, self.tune = backbone, tune
        self._dtype = dtype
        self._changes = 0
        self._watched: list[Tensor] | None = None
        self._merged: tuple[tuple[int, int], LanguageModel] | None = None
        # Goes where the heads go, and has their dtype: a frozen LM has no parameter in the tree that would tell.
        self.register_buffer("place", torch.zeros(()), persistent=False)
        if tune == "frozen":
            self.__dict__["lm"] = backbone.lm
        else:
            self.lm = copy.deepcopy(backbone.lm).requires_grad_(tune == "whole")
        if tune == "lora":
            add_lora(self.lm, rank, alpha)
            keep_only_lora(self)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.place.device

    @property
    def learning(self) -> bool:
        """Whether gradients have to reach the LM."""
        return self.tune != "frozen" and self.training and torch.is_grad_enabled()

    @property
    def as_published(self) -> bool:
        """Whether it is what everyone has who names its backbone: not tuned, in full precision, on the CPU."""
        return self.tune == "frozen" and self.device.type == "cpu" and self._dtype == self.place.dtype == torch.float32

    @property
    def version(self) -> tuple[int, int]:
        """Another one after every change that can be noticed: what was read under another one is out of date.

        Torch counts the writes to a tensor, but its fused optimisers count none; so leaving or entering training counts
        as a change too.
        """
        if self.tune == "frozen":
            return self._changes, 0
        if self._watched is None:
            self._watched = list(self.lm.parameters())
        return self._changes, sum(parameter._version for parameter in self._watched)

    @property
    def running(self) -> LanguageModel:
        """The LM to run: with LoRA merged, unless LoRA is being trained."""
        if self.tune != "lora" or self.learning:
            return self.lm
        version = self.version
        if self._merged is None or self._merged[0] != version:
            self._merged = None  # before the next copy is made
            with for_keeps(self.device):
                self._merged = version, merged(self.lm)
        return self._merged[1]

    def scaled(self, states: Tensor) -> Tensor:
        """States ``[..., size]`` of the LM as heads read them, in the heads' dtype."""
        return self.backbone.scaled(states).to(self.place.dtype)

    def train(self, mode: bool = True) -> Self:
        """Switch mode; the LM's dropout stays off, because it shifts the scale of a regression's output."""
        if self.tune == "whole" or self.training or mode:
            self._changes += self.tune != "frozen"
        super().train(mode)
        if self.tune != "frozen":
            self.lm.eval()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast. The LM follows to the device; other models on the same backbone stay as they are.

        The LM has the dtype of the heads where that is not float32, else the one of its options.
        """
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._changes += 1
        self._watched = self._merged = None
        dtype = self._dtype if self.place.dtype == torch.float32 else self.place.dtype
        if self.tune == "frozen":
            self.__dict__["lm"] = self.backbone.on(self.device, dtype)
        else:
            self._restore(dtype)
        return self

    @torch.no_grad()
    def _restore(self, dtype: torch.dtype) -> None:
        """Take what is not saved from the backbone again.

        A cast to low precision and back rounds it, which the digest of what is saved would not tell.
        """
        if self.tune == "lora":
            for name, parameter in self.lm.named_parameters():
                if not is_lora(name):
                    source = self.backbone.lm.get_parameter(plain_name(name))
                    parameter.data = source.to(device=self.device, dtype=dtype)
        for name, module in self.lm.named_modules():
            for buffer in module._non_persistent_buffers_set:
                path = f"{name}.{buffer}" if name else buffer
                source = self.backbone.lm.get_buffer(plain_name(path))
                wanted = dtype if source.is_floating_point() else source.dtype
                setattr(module, buffer, source.to(device=self.device, dtype=wanted))
