"""The late fusion of rmgym 0.1: MiniLM reads a template once, words written in; a small Transformer does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from rivals.fusion import FusionHead
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.encoding import Encoded
from rmgym.models.neural import NeuralRewardModel
from rmgym.options import read_options

States = tuple[Tensor, Tensor]
"""Of one template: at its slots, ``[S, size]``, and of the whole text, ``[size]``."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Options of :class:`TransformerReward`, and the defaults of 0.1."""

    width: int = 128
    layers: int = 2
    attention_heads: int = 4
    frequencies: tuple[int, ...] = (-4, -3, -2, -1, 0)


class TransformerReward(NeuralRewardModel):
    """One Transformer head over number slots, on texts whose words are written in. It cannot be saved."""

    name = "transformer"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.backbone = load_backbone("minilm")
        sizes = (config.width, config.layers, config.attention_heads, config.frequencies)
        self.head = FusionHead(self.backbone.state_size, *sizes)
        self._read = dict[str, States]()

    @classmethod
    def create(cls, *, seed: int = 0, **options: object) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(read_options(TransformerConfig, options, "options of the Transformer head"))

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        states, width = [self._states(template) for template in inputs.templates], inputs.values.shape[1]
        slots = torch.stack([pad(s, (0, 0, 0, width - len(s))) for s, _ in states])
        text = torch.stack([t for _, t in states])
        mask = None if bool(inputs.mask.all()) else inputs.mask
        rewards: Tensor = self.head(slots, text, inputs.template_index, inputs.values, mask)
        return rewards[:, None]

    def _states(self, template: str) -> States:
        """What MiniLM makes of a template, read alone and once."""
        if template not in self._read:
            ids, slots = self.backbone.tokens(template)
            tokens = torch.tensor([ids])
            with torch.inference_mode(mode=False), torch.no_grad():  # kept for fitting too
                states = self.backbone.lm(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[0]
                self._read[template] = states[list(slots)], states.mean(dim=0)
        return self._read[template]
