"""Late fusion: the LM reads each template once, whatever the numbers; heads put template and numbers together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded
from rmgym.models.readers.base import HeadInputs, KeptStates

MOST_TEMPLATES = 8192
"""Templates whose states are kept (in words that change with every step, each text is a template)."""


class LateReader(nn.Module):
    """Reads templates. Heads take ``(slots, text, template_index, values, mask)``.

    ``slots [T, S, size]`` are the states at the slots of each template, zero where it has fewer than ``S``;
    ``text [T, size]`` those of the whole texts; ``mask`` is None where no number is missing. The others are those of
    :class:`rmgym.models.encoding.Encoded`.
    """

    micro_batch = 256  # what a micro-batch makes of itself still fits a core's cache; 1024 was a third slower

    def __init__(self) -> None:
        super().__init__()
        self.kept = KeptStates[tuple[Tensor, Tensor]](MOST_TEMPLATES)

    def forward(self, tower: Tower, inputs: Encoded) -> HeadInputs:
        """See :class:`rmgym.models.readers.base.Reader`."""

        def read(template: str) -> tuple[Tensor, Tensor]:
            return read_template(tower, template)

        self.kept.follow(tower)
        learning, width = tower.learning, inputs.values.shape[1]
        states = [read(t) if learning else self.kept.get(t, tower, read) for t in inputs.templates]
        slots = torch.stack([nn.functional.pad(s, (0, 0, 0, width - len(s))) for s, _ in states])
        text = torch.stack([t for _, t in states])
        mask = None if bool(inputs.mask.all()) else inputs.mask
        return slots, text, inputs.template_index, inputs.values, mask


def read_template(tower: Tower, template: str) -> tuple[Tensor, Tensor]:
    """Run the LM over one template; alone, so that no other text or padding touches it.

    Returns:
        States at its slots, ``[S, size]``, and of the whole text, ``[size]``: the mean over an encoder's tokens, or a
        causal LM's last one.

    Raises:
        ModelError: the text is too long.
    """
    ids, slots = tower.backbone.tokens(template)
    tokens = torch.tensor([ids], device=tower.device)
    states = tower.running(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[0]
    states = tower.scaled(states)
    return states[list(slots)], states[-1] if tower.backbone.causal else states.mean(dim=0)
