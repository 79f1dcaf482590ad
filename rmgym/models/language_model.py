"""A pretrained language model as a reward model, with three ways for numbers to enter.

``late``
    The LM reads each template once, whatever the numbers; a small Transformer over the slots does the rest per step
    (:mod:`rmgym.models.fusion`). Exact, and as fast as the small Transformer.
``early``
    Each step goes through the LM; a number is one token whose embedding is made of the number's value.
``digits``
    Each step goes through the LM as plain text, numbers written as spaced digits with their sign.

The LM is ``frozen`` or tuned ``whole``. A frozen LM is shared between models and not saved again: its weights are named
by folder and SHA-256.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.backbones import Backbone, load_backbone
from rmgym.models.fusion import FusionHead
from rmgym.models.neural import Encoded, NeuralRewardModel
from rmgym.models.number_features import NumberFeatures
from rmgym.models.options import make_options
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import split_template

MAX_UNKNOWN = 0.1
"""Largest share of unknown tokens in a text that a model accepts."""
MOST_REMEMBERED = 2048
"""Texts whose states are kept while a frozen model on digits is fitted (about 100 kB each)."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """Options of :class:`LanguageModelReward`.

    Attributes:
        backbone: name of built-in weights (``minilm``) or a local folder of a Hugging Face encoder.
        fusion: how numbers enter, see the module's text.
        tune: ``frozen`` or ``whole``.
        heads: independent reward heads; their disagreement is the model's std.
        width: token width of a late-fusion head.
        layers: blocks of a late-fusion head.
        attention_heads: attention heads of a late-fusion head.
        frequencies: exponents k of the Fourier frequencies pi 2^k; few labels want few, low ones.
        pool: how early and digits read the LM's states: ``attention``, ``mean`` or ``last``.
    """

    backbone: str = "minilm"
    fusion: Literal["late", "early", "digits"] = "late"
    tune: Literal["frozen", "whole"] = "frozen"
    heads: int = 1
    width: int = 128
    layers: int = 2
    attention_heads: int = 4
    frequencies: tuple[int, ...] = (-4, -3, -2, -1, 0)
    pool: Literal["attention", "mean", "last"] = "attention"

    def __post_init__(self) -> None:
        sizes = (self.heads, self.width, self.layers, self.attention_heads)
        if min(sizes) < 1 or self.width % self.attention_heads:
            raise ModelError(
                "sizes are positive and 'width' is a multiple of 'attention_heads'", got=self, fix="change them"
            )


class LanguageModelReward(NeuralRewardModel):
    """Reward model on a pretrained language model."""

    name: ClassVar[str] = "language_model"
    defaults: ClassVar[Mapping[str, Any]] = {}
    tower: Any

    def __init__(self, config: LanguageModelConfig, card_hash: str | None = None) -> None:
        super().__init__(config, card_hash)
        self.options = config
        backbone = load_backbone(config.backbone)
        self.tokenizer = backbone.tokenizer
        if config.tune == "whole":
            self.tower = copy.deepcopy(backbone.tower).requires_grad_(True)
        else:  # outside the module tree: neither trained nor saved, and shared by every model that uses it
            self.__dict__["tower"] = backbone.tower
        self._backbone: Backbone = backbone
        self._states = dict[str, tuple[Tensor, Tensor]]()
        self._read_states = dict[str, Tensor]()
        size = backbone.state_size
        if config.fusion == "late":
            self.heads = nn.ModuleList(
                FusionHead(size, config.width, config.layers, config.attention_heads, config.frequencies)
                for _ in range(config.heads)
            )
        else:
            self.heads = nn.ModuleList(PooledHead(size, config.width, config.pool) for _ in range(config.heads))
            self.micro_batch = 128
        if config.fusion == "early":
            self.numbers = NumberFeatures(size, config.frequencies)

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; options are those of :class:`LanguageModelConfig`."""
        config = make_options(LanguageModelConfig, cls.name, {**cls.defaults, **options})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    def prepare(self, texts: TextBatch) -> None:
        """Refuse texts that the LM's tokenizer cannot read.

        Raises:
            ModelError: more than a tenth of the tokens are unknown, or a text is too long.
        """
        for template in texts.templates:
            ids = self._tokens(template)[0]
            unknown = ids.count(self.tokenizer.unk_token_id) / len(ids) if self.tokenizer.unk_token else 0.0
            if unknown > MAX_UNKNOWN:
                raise ModelError(
                    f"at most {MAX_UNKNOWN:.0%} of a text's tokens are unknown to the model",
                    got=f"{unknown:.0%} unknown to {self._backbone.name} in {template[:60]!r}",
                    fix="use 'seq2seq', which trains a tokenizer on your texts, or a multilingual model",
                )

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        if self.options.fusion == "late":
            slots, text = self._template_states(inputs.templates, inputs.values.shape[1])
            mask = None if bool(inputs.mask.all()) else inputs.mask
            arguments = (slots, text, inputs.template_index, inputs.values, mask)
            return torch.stack([head(*arguments) for head in self.heads], dim=1)
        states, mask = self._early(inputs) if self.options.fusion == "early" else self._digits(inputs)
        return torch.stack([head(states, mask) for head in self.heads], dim=1)

    def train(self, mode: bool = True) -> Self:
        """Switch mode; what a tuned LM made of the templates is forgotten, and its dropout stays off."""
        super().train(mode)
        if not mode:
            self._read_states.clear()
        if self.options.tune == "whole":
            self._states.clear()
            self.tower.eval()  # dropout shifts the scale of a regression's output
        return self

    def _template_states(self, templates: Sequence[str], width: int) -> tuple[Tensor, Tensor]:
        """States at the slots, padded to ``[T, width, size]``, and mean states ``[T, size]``."""
        learning = self.options.tune == "whole" and torch.is_grad_enabled() and self.training
        read = [self._read(t) if learning else self._read_once(t) for t in templates]
        slots = [nn.functional.pad(s, (0, 0, 0, width - len(s))) for s, _ in read]
        dtype = next(self.heads.parameters()).dtype
        return torch.stack(slots).to(dtype), torch.stack([t for _, t in read]).to(dtype)

    def _read_once(self, template: str) -> tuple[Tensor, Tensor]:
        if template not in self._states:
            # Kept tensors must not be inference tensors: a later fit differentiates through what uses them.
            with torch.inference_mode(False), torch.no_grad():
                self._states[template] = self._read(template)
        return self._states[template]

    def _read(self, template: str) -> tuple[Tensor, Tensor]:
        """Run the LM over one template; alone, so that no other text or padding touches it."""
        ids, slots = self._tokens(template)
        if self.options.tune == "frozen":
            self.tower.to(self.device)
        tokens = torch.tensor([ids], device=self.device)
        states = self.tower(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[0]
        return states[list(slots)], states.mean(dim=0)

    def _tokens(self, template: str) -> tuple[list[int], tuple[int, ...]]:
        """Token ids of a template and the positions of its slots."""
        ids, positions = list[int](self._backbone.prefix), list[int]()
        for i, piece in enumerate(split_template(template)[0]):
            if i:
                positions.append(len(ids))
                ids.append(self._backbone.slot_token)
            ids += self._backbone.encode_piece(piece)
        ids += self._backbone.suffix
        if len(ids) > self._backbone.max_tokens:
            raise ModelError(
                f"a text has at most {self._backbone.max_tokens} tokens for {self._backbone.name}",
                got=f"{len(ids)} tokens: {template[:80]!r}...",
                fix="shorten the task or hide fields in the card",
            )
        return ids, tuple(positions)

    def _early(self, inputs: Encoded) -> tuple[Tensor, Tensor]:
        """States of every token with the numbers inside, ``[B, L, size]``, and the mask of real tokens."""
        read = [self._tokens(t) for t in inputs.templates]
        length = max(len(ids) for ids, _ in read)
        ids = torch.zeros(len(read), length, dtype=torch.int64)
        real = torch.zeros(len(read), length, dtype=torch.bool)
        place = torch.zeros(len(read), inputs.values.shape[1], dtype=torch.int64)
        for t, (tokens, slots) in enumerate(read):
            ids[t, : len(tokens)] = torch.tensor(tokens)
            real[t, : len(tokens)] = True
            place[t, : len(slots)] = torch.tensor(slots, dtype=torch.int64)
        index = inputs.template_index
        self.tower.to(self.device)
        embedded = self.tower.get_input_embeddings()(ids.to(self.device))[index]
        numbers = self.numbers(inputs.values) * inputs.mask[..., None]
        where = place.to(self.device)[index][..., None].expand(-1, -1, numbers.shape[-1])
        embedded = embedded.scatter_add(1, where, numbers.to(embedded.dtype))
        mask = real.to(self.device)[index]
        states = self.tower(inputs_embeds=embedded, attention_mask=mask.long()).last_hidden_state
        return states, mask

    def _digits(self, inputs: Encoded) -> tuple[Tensor, Tensor]:
        """States of every token of the plain text, ``[B, L, size]``, and the mask of real tokens."""
        texts = [
            spaced_digits(inputs.templates[t], row)
            for t, row in zip(inputs.template_index.tolist(), inputs.values.tolist(), strict=True)
        ]
        if self.training and self.options.tune == "frozen":
            return self._remembered(texts)
        return self._read_texts(texts)

    def _read_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Run the LM over whole texts, padded on the right."""
        tokens = self.tokenizer(list(texts), padding=True, return_tensors="pt").to(self.device)
        if tokens["input_ids"].shape[1] > self._backbone.max_tokens:
            raise ModelError(
                f"a text has at most {self._backbone.max_tokens} tokens for {self._backbone.name}",
                got=f"{tokens['input_ids'].shape[1]} tokens",
                fix="use fusion='late', shorten the task or hide fields in the card",
            )
        self.tower.to(self.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.options.tune == "whole"):
            states = self.tower(**tokens).last_hidden_state
        return states, tokens["attention_mask"].bool()

    def _remembered(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States of texts that come back at every epoch: a frozen LM reads each of them once per fit."""
        if unread := [text for text in dict.fromkeys(texts) if text not in self._read_states]:
            if len(self._read_states) + len(unread) > MOST_REMEMBERED:
                return self._read_texts(texts)
            states, mask = self._read_texts(unread)
            self._read_states |= {t: s[m] for t, s, m in zip(unread, states, mask, strict=True)}
        known = [self._read_states[text] for text in texts]
        states = nn.utils.rnn.pad_sequence(known, batch_first=True)
        lengths = torch.tensor([len(k) for k in known], device=self.device)
        return states, torch.arange(states.shape[1], device=self.device) < lengths[:, None]


class PooledHead(nn.Module):
    """Reward from the states of all tokens: pooling, then one hidden layer."""

    def __init__(self, state_size: int, width: int, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.attention = nn.Linear(state_size, 1)
        self.hidden = nn.Linear(state_size, width)
        self.reward = nn.Linear(width, 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Standardised rewards ``[B]`` from states ``[B, L, size]`` and the mask of real tokens ``[B, L]``."""
        if self.pool == "last":
            pooled = states[torch.arange(len(states)), mask.sum(dim=1) - 1]
        else:
            score = self.attention(states)[..., 0] if self.pool == "attention" else torch.zeros_like(states[..., 0])
            weight = score.masked_fill(~mask, float("-inf")).softmax(dim=1)
            pooled = (weight[..., None] * states).sum(dim=1)
        rewards: Tensor = self.reward(nn.functional.gelu(self.hidden(pooled)))[:, 0]
        return rewards


def spaced_digits(template: str, numbers: Sequence[float]) -> str:
    """Render a text with signed, spaced digits: ``-0.52`` becomes ``- 0 . 5 2``, read by WordPiece digit by digit."""
    pieces, decimals = split_template(template)
    shown = [" ".join(f"{value:+.{d}f}") for value, d in zip(numbers, decimals, strict=False)]
    return "".join(piece + number for piece, number in zip(pieces, [*shown, ""], strict=True))
