"""An encoder-decoder Transformer trained from scratch, in any language.

The encoder reads a step's tokens, each number added to the token before it; a learned query asks the decoder for the
reward (Vaswani et al. 2017, with pre-layer normalisation as in Xiong et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch import Tensor, nn
from torch.nn import functional as F

from rmgym.errors import ModelError, nearest
from rmgym.models.neural import Encoded, NeuralRewardModel
from rmgym.models.number_features import NumberFeatures
from rmgym.models.sizes import check_count, check_sizes
from rmgym.models.tokenizer import FEWEST_TOKENS, NUMBER, PAD, SIGN, read_tokenizer, train_tokenizer
from rmgym.options import read_options
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import show, split_template

PRESETS: dict[str, dict[str, int]] = {
    "small": {"vocab_size": 2_000, "embedding_dim": 128, "hidden_dim": 256, "num_layers": 3},
    "reference": {"vocab_size": 10_000, "embedding_dim": 256, "hidden_dim": 512, "num_layers": 4},
}
_MOST_REMEMBERED = 65_536
_MOST_TOKENS = 65_536  # of a text: each has a position in memory, and none of them is in the weights


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig:
    """Options of :class:`Seq2SeqRewardModel`; the defaults are the preset ``small``.

    Attributes:
        vocab_size: rows of the embedding table and most tokens of the tokenizer, at least 512.
        embedding_dim: width of the Transformer, an even multiple of ``num_heads``.
        hidden_dim: width of its feed-forward layers.
        num_layers: layers of the encoder, and of the decoder.
        num_heads: attention heads.
        dropout: share of activations dropped while training; it blurs numbers, so none by default.
        max_tokens: most tokens of a text.
        fusion: a number is added to the last token before it (``slots``) or is written in digits (``digits``).
    """

    vocab_size: int = PRESETS["small"]["vocab_size"]
    embedding_dim: int = PRESETS["small"]["embedding_dim"]
    hidden_dim: int = PRESETS["small"]["hidden_dim"]
    num_layers: int = PRESETS["small"]["num_layers"]
    num_heads: int = 4
    dropout: float = 0.0
    max_tokens: int = 1024
    fusion: Literal["slots", "digits"] = "slots"

    def __post_init__(self) -> None:
        sizes = (self.embedding_dim, self.hidden_dim, self.num_layers, self.num_heads, self.max_tokens)
        if min(sizes) < 1 or self.embedding_dim % (2 * self.num_heads):
            raise ModelError(
                "sizes are positive, and embedding_dim is an even multiple of num_heads",
                got=self,
                fix="take embedding_dim=128, num_heads=4",
            )
        if self.vocab_size < FEWEST_TOKENS:
            raise ModelError(f"a vocabulary has at least {FEWEST_TOKENS} tokens", got=self.vocab_size, fix="raise it")
        if self.max_tokens > _MOST_TOKENS:
            raise ModelError(f"max_tokens is at most {_MOST_TOKENS}", got=self.max_tokens, fix="show fewer fields")
        if not 0 <= self.dropout < 1:
            raise ModelError("dropout is a share in [0, 1)", got=self.dropout, fix="take 0.0 or 0.1")


class _Tokens(NamedTuple):
    """Tokens of ``T`` texts: padded ``ids [T, L]``, ``lengths [T]``, and where numbers go, ``slots [T, S]``."""

    ids: Tensor
    lengths: Tensor
    slots: Tensor


class Seq2SeqRewardModel(NeuralRewardModel):
    """Encoder and decoder with a tokenizer of their own; the reward is read from one decoder query.

    The tokenizer is trained in :meth:`prepare` on the texts the model is fitted on, then fixed, and saved with it.
    """

    name = "seq2seq"
    options_kind = Seq2SeqConfig
    micro_batch: int = 256
    positions: Tensor

    def __init__(self, config: Seq2SeqConfig, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(config)
        self.options = config
        self._trained = tokenizer is not None
        self.tokenizer = tokenizer or train_tokenizer([], config.vocab_size)
        self._pieces: dict[str, list[int]] = {}
        width = config.embedding_dim
        self.embedding = nn.Embedding(config.vocab_size, width)
        nn.init.normal_(self.embedding.weight, std=0.02)  # a token never trained on should say little
        self.numbers = NumberFeatures(width)
        shape = (width, config.num_heads, config.hidden_dim, config.dropout)
        how: dict[str, Any] = {"activation": "gelu", "batch_first": True, "norm_first": True}
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*shape, **how),
            config.num_layers,
            norm=nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        self.query = nn.Parameter(torch.randn(1, 1, width))
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*shape, **how), config.num_layers, norm=nn.LayerNorm(width)
        )
        for layer in [*self.encoder.layers, *self.decoder.layers]:  # PyTorch makes them as copies of the first
            for parameter in layer.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        self.reward = nn.Linear(width, 1)
        self.register_buffer("positions", sinusoids(config.max_tokens, width), persistent=False)

    @classmethod
    def create(cls, *, seed: int = 0, preset: str | None = None, **options: Any) -> Self:
        """Make an unfitted model.

        Args:
            seed: seed of its random weights; the global random state is left as it was.
            preset: ``small`` (the default) or ``reference``; options win over it.
            options: see :class:`Seq2SeqConfig`.

        Raises:
            ModelError: an option or the preset is unknown or impossible.
        """
        return cls._seeded(cls._config(preset, options), seed)

    @classmethod
    def build(cls, manifest: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; ``texts`` holds the tokenizer."""
        if "tokenizer" not in texts:
            raise ModelError("a seq2seq model is saved with its tokenizer", got=sorted(texts), fix="fit it again")
        config = cls._config(None, manifest["config"])
        return cls._seeded(config, 0, read_tokenizer(texts["tokenizer"], config.vocab_size))

    @classmethod
    def check(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        config = cls._config(None, manifest["config"])
        check_count("num_layers", config.num_layers, tensors)
        check_sizes(lambda: cls(config, Tokenizer(BPE())), tensors)

    @classmethod
    def _config(cls, preset: str | None, options: Mapping[str, Any]) -> Seq2SeqConfig:
        if preset is not None and preset not in PRESETS:
            raise ModelError(f"{cls.name!r} has presets", got=preset, fix=nearest(preset, PRESETS))
        return read_options(Seq2SeqConfig, {**PRESETS[preset or "small"], **options}, f"options of {cls.name!r}")

    @classmethod
    def _seeded(cls, config: Seq2SeqConfig, seed: int, tokenizer: Tokenizer | None = None) -> Self:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, tokenizer)

    def prepare(self, texts: TextBatch) -> None:
        """Train the tokenizer on the texts' templates, once; its vocabulary is fixed from then on.

        Raises:
            ModelError: a text has more than ``max_tokens`` tokens.
        """
        templates = texts.used().filled().templates
        if not self._trained:
            self.tokenizer = train_tokenizer(templates, self.options.vocab_size)
            self._trained = True
            self._changed()
            self._pieces.clear()
        for template in templates:
            self._join(template)

    def extra_texts(self) -> dict[str, str]:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return {"tokenizer": self.tokenizer.to_str()}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast. Positions are made again: they are not saved, and a cast and back would leave them rounded."""
        super()._apply(fn, recurse)
        exact = sinusoids(self.options.max_tokens, self.options.embedding_dim)
        self.positions = exact.to(device=self.device, dtype=self.positions.dtype)
        return self

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; one head."""
        if self.options.fusion == "slots":
            embedded, lengths = self._embed_slots(inputs)
        else:
            embedded, lengths = self._embed_digits(inputs)
        present = sorted(set(lengths.tolist()))
        if len(present) < 2:
            return self._read(embedded, None)
        if torch.is_grad_enabled():  # batches of a fit are small, and smaller ones would cost more than a mask
            return self._read(embedded, torch.arange(embedded.shape[1], device=self.device) >= lengths[:, None])
        rewards = embedded.new_empty(len(embedded), 1)
        for length in present:  # texts of one length need neither padding nor a mask
            rows = lengths == length
            rewards[rows] = self._read(embedded[rows, :length], None)
        return rewards

    def _read(self, embedded: Tensor, padding: Tensor | None) -> Tensor:
        """Rewards ``[B, 1]`` of embedded texts ``[B, L, width]``; ``padding`` is True where there is no token."""
        memory = self.encoder(embedded, src_key_padding_mask=padding)
        if self.training and self.options.dropout:
            answer = self.decoder(self.query.expand(len(memory), -1, -1), memory, memory_key_padding_mask=padding)[:, 0]
        else:
            answer = answer_of(self.decoder, self.query[0], memory, padding)
        rewards: Tensor = self.reward(answer)
        return rewards

    def _embed_slots(self, inputs: Encoded) -> tuple[Tensor, Tensor]:
        """Embed each template once, copy it to its rows, and add the numbers' features at the slots."""
        tokens = self._pad([self._join(template) for template in inputs.templates])
        index = inputs.template_index
        embedded = self._embed(tokens.ids)[index]
        row, column = inputs.mask.nonzero(as_tuple=True)
        place = row * embedded.shape[1] + tokens.slots[index[row], column]  # no two numbers have the same
        embedded.flatten(0, 1).index_add_(0, place, self.numbers(inputs.values[inputs.mask]))
        return embedded, tokens.lengths[index]

    def _embed_digits(self, inputs: Encoded) -> tuple[Tensor, Tensor]:
        """Write the numbers of each row in digits and embed the whole text."""
        rows = zip(inputs.template_index.tolist(), inputs.numbers.tolist(), strict=True)
        tokens = self._pad([self._join(inputs.templates[t], values) for t, values in rows])
        return self._embed(tokens.ids), tokens.lengths

    def _embed(self, ids: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(ids) + self.positions[: ids.shape[1]]
        return embedded

    def _join(self, template: str, values: Sequence[float] | None = None) -> tuple[list[int], list[int]]:
        """Token ids of a text and where its numbers are added; given values, their signed digits are tokens instead.

        A number rides on the last token before it, which says what it is of; a token of its own would make a text up
        to twice as long. Only where nothing stands before it, it has one.
        """
        plain, decimals = split_template(template)
        pieces, slots = [self._tokenise(piece) for piece in plain], list[int]()
        ids = list[int](pieces[0])
        for i, (before, after) in enumerate(pairwise(pieces)):
            if values is not None:
                ids += [SIGN[sign] for sign in show(values[i], decimals[i], "+")]
            elif not before:
                ids.append(NUMBER)
            slots.append(len(ids) - 1)
            ids += after
        if len(ids) > self.options.max_tokens:
            raise ModelError(
                f"a text has at most {self.options.max_tokens} tokens (option max_tokens)",
                got=f"{len(ids)} tokens: {template[:80]!r}",
                fix="raise max_tokens or show fewer fields; fitting a model also shortens its tokens",
            )
        return ids, slots

    def _tokenise(self, piece: str) -> list[int]:
        """Token ids of a plain piece, remembered: templates are many, and differ in few of their pieces."""
        if piece not in self._pieces:
            if len(self._pieces) >= _MOST_REMEMBERED:
                self._pieces.clear()
            self._pieces[piece] = self.tokenizer.encode(piece).ids
        return self._pieces[piece]

    def _pad(self, texts: Sequence[tuple[list[int], list[int]]]) -> _Tokens:
        """Stack token ids and slots, padded on the right; an empty text still has one token to attend to."""
        lengths = np.array([max(len(ids), 1) for ids, _ in texts], np.int64)
        ids = np.full((len(texts), lengths.max(initial=1)), PAD)
        places = np.zeros((len(texts), max((len(slots) for _, slots in texts), default=0)), np.int64)
        for i, (tokens, slots) in enumerate(texts):
            ids[i, : len(tokens)], places[i, : len(slots)] = tokens, slots
        return _Tokens(*(torch.from_numpy(array).to(self.device) for array in (ids, lengths, places)))


def answer_of(decoder: nn.TransformerDecoder, query: Tensor, memory: Tensor, padding: Tensor | None) -> Tensor:
    """What a pre-norm decoder makes of one query per row, without projecting the memory's keys and values.

    ``q . (W_k m) = (W_k^T q) . m`` and ``sum a_j W_v m_j = W_v sum a_j m_j``; and a single query attends to itself
    alone, so that its self-attention is its value. Until it has read the memory it is the same in every row. Exact,
    gradients too; no dropout.

    Args:
        decoder: of :class:`torch.nn.TransformerDecoderLayer` with ``norm_first``.
        query: ``[B, width]``, or ``[1, width]`` for all rows.
        memory: the encoder's states, ``[B, L, width]``.
        padding: True where a state does not count, ``bool [B, L]``; None where all do.

    Returns:
        ``[B, width]``.
    """
    batch, _, width = memory.shape
    layers: Any = decoder.layers
    for layer in layers:
        itself, across = layer.self_attn, layer.multihead_attn
        value = F.linear(layer.norm1(query), itself.in_proj_weight[2 * width :], itself.in_proj_bias[2 * width :])
        query = query + itself.out_proj(value)
        heads, size = across.num_heads, width // across.num_heads
        ask, key, value_weight = across.in_proj_weight.view(3, width, width)
        asked = F.linear(layer.norm2(query), ask, across.in_proj_bias[:width]).view(-1, heads, size) / size**0.5
        scores = torch.einsum("bhd,hdw->bhw", asked, key.view(heads, size, width)) @ memory.transpose(1, 2)
        if padding is not None:
            scores = scores.masked_fill(padding[:, None], -torch.inf)
        mean = scores.softmax(dim=-1) @ memory  # [B, heads, width]
        read = torch.einsum("bhw,hdw->bhd", mean, value_weight.view(heads, size, width)).reshape(batch, width)
        query = query + across.out_proj(read + across.in_proj_bias[2 * width :])
        query = query + layer.linear2(F.gelu(layer.linear1(layer.norm3(query))))
    assert decoder.norm is not None
    answer: Tensor = decoder.norm(query)
    return answer


def sinusoids(length: int, width: int) -> Tensor:
    """Positions as in Vaswani et al. 2017, section 3.5: ``float32 [length, width]``, sine at even columns."""
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(length)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=2).reshape(length, width)
