"""The binding head against its formula written out, and at rest against itself in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rmgym.models.encoding import Encoded, encode
from rmgym.models.heads import binding
from rmgym.models.heads.binding import BindingHeads
from rmgym.models.heads.written import WrittenHeads
from rmgym.models.readers.late import LateReader
from rmgym.models.readers.late_reading import Reading
from rmgym.text.batch import TextBatch

TEMPLATES = ("speed: {:.1f}, the {:s} is {:s}", "height: {:.1f}, speed: {:.1f}", "the {:s} is there", "nothing")
PHRASES = ("red door", "open", "grey wall", "yellow key")


def texts(rows: list[tuple[int, list[float], list[int]]]) -> TextBatch:
    """Texts of a template with its numbers and phrases."""
    return TextBatch(
        templates=TEMPLATES,
        template_index=np.array([t for t, _, _ in rows], np.int32),
        numbers=np.array([v for _, values, _ in rows for v in values], np.float64),
        offsets=np.cumsum([0, *(len(values) for _, values, _ in rows)]),
        phrases=PHRASES,
        words=np.array([w for _, _, words in rows for w in words], np.int32),
    )


NUMBER = st.floats(-9, 9).map(lambda x: round(x, 1) + 0.0)
WORD = st.integers(0, 3)
ROW = st.one_of(
    st.tuples(st.just(0), st.lists(NUMBER, min_size=1, max_size=1), st.lists(WORD, min_size=2, max_size=2)),
    st.tuples(st.just(1), st.lists(NUMBER, min_size=2, max_size=2), st.just([])),
    st.tuples(st.just(2), st.just([]), st.lists(WORD, min_size=1, max_size=1)),
    st.tuples(st.just(3), st.just([]), st.just([])),
)
ROWS = st.lists(ROW, min_size=1, max_size=8)
SEEN = texts([(0, [1.5], [0, 1]), (0, [-2.5], [2, 1]), (1, [0.5, 3], []), (1, [4, -3], []), (2, [], [3]), (3, [], [])])


def made(heads: int = 3, frequencies: tuple[int, ...] = (-1,), seed: int = 0) -> tuple[BindingHeads, LateReader]:
    """Heads and reader without a language model; all weights are random, those that begin at zero too."""
    reader = LateReader(0)
    reader.prepare(None, SEEN)
    torch.manual_seed(seed)
    model = BindingHeads(reader.size, heads, width=8, roles=4, frequencies=frequencies)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model, reader


def by_hand(heads: BindingHeads, reader: LateReader, row: tuple[int, list[float], list[int]], h: int) -> float:
    """One head's reward of one text, slot by slot."""
    t, values, words = row
    reading = reader.read(None, [TEMPLATES[t]], PHRASES)

    def projected(layer: torch.nn.Linear, vector: torch.Tensor, size: int) -> torch.Tensor:
        return F.layer_norm(layer(vector).view(heads.heads, size)[h], (size,))

    bound, linear = torch.zeros(heads.roles, heads.features + 1), torch.zeros(())
    for j, value in enumerate(values):
        role = projected(heads.role, reading.slots[0, j], heads.roles) / len(values) ** 0.5
        x = torch.tensor((value - float(reading.mean[0, j])) / float(reading.spread[0, j]))
        x = x if abs(x) <= 3 else x.sign() * (3 + torch.log(x.abs() - 2))
        filler = [x]
        for k in heads.frequencies:
            filler += [0.3 * torch.sin(torch.pi * 2.0**k * x), 0.3 * torch.cos(torch.pi * 2.0**k * x)]
        bound = bound + torch.outer(role, torch.stack([*filler, torch.ones(())]))
        linear = linear + x * (role @ heads.linear[h, :, 0])
    said = torch.zeros(binding.PHRASE_ROLES, binding.PHRASE_FILLER)
    for j, word in enumerate(words):
        role = projected(heads.phrase_role, reading.word_slots[0, j], binding.PHRASE_ROLES)
        said = said + torch.outer(role, projected(heads.filler, reading.phrases[word], binding.PHRASE_FILLER))
    said = said.flatten() / max(len(words), 1) ** 0.5
    text = projected(heads.text, reading.texts[0], binding.TEXT)
    first = bound.flatten() @ heads.bind[h] + said @ heads.bind_phrases[h] + text @ heads.bind_text[h]
    hidden = F.silu(first + heads.bias.view(heads.heads, -1)[h])
    hidden = hidden + F.silu(hidden @ heads.hidden[h] + heads.hidden_bias.view(heads.heads, -1)[h])
    out = hidden @ heads.out[h, :, 0] + heads.out_bias[h]
    return float(out + linear + said @ heads.linear_phrases[h, :, 0])


@settings(max_examples=30)
@given(ROWS)
def test_rewards_are_those_of_the_formula(rows: list[tuple[int, list[float], list[int]]]) -> None:
    heads, reader = made()
    with torch.no_grad():
        rewards = heads(*reader(None, encode(texts(rows))))
        expected = [[by_hand(heads, reader, row, h) for h in range(3)] for row in rows]
    torch.testing.assert_close(rewards, torch.tensor(expected), atol=1e-4, rtol=1e-4)


@settings(max_examples=30)
@given(st.lists(ROWS, min_size=1, max_size=3), st.sampled_from([1, 4]))
def test_written_heads_say_what_heads_in_training_say(
    batches: list[list[tuple[int, list[float], list[int]]]], count: int
) -> None:
    heads, reader = made(count)
    written = WrittenHeads(heads, lambda templates, phrases: reader.read(None, templates, phrases))
    for rows in batches:
        inputs = encode(texts(rows))
        torch.testing.assert_close(written(0, inputs), heads(*reader(None, inputs)).detach(), atol=1e-5, rtol=1e-5)


def test_written_heads_forget_when_the_version_changes() -> None:
    heads, reader = made()
    written = WrittenHeads(heads, lambda templates, phrases: reader.read(None, templates, phrases))
    before = written(0, encode(SEEN))
    with torch.no_grad():
        heads.bind.mul_(2)
        heads.bias.add_(1)
    torch.testing.assert_close(written(0, encode(SEEN)), before)  # as it was told that nothing has changed
    torch.testing.assert_close(written(1, encode(SEEN)), heads(*reader(None, encode(SEEN))).detach())


def test_more_than_is_kept_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmgym.models.heads.written.MOST_BYTES", 3000)
    monkeypatch.setattr("rmgym.models.heads.written.MICRO_BATCH", 2)
    heads, reader = made()
    written = WrittenHeads(heads, lambda templates, phrases: reader.read(None, templates, phrases))
    for rows in ([(0, [1.0], [w, v])] * 5 for w in range(4) for v in range(4)):
        inputs = encode(texts(rows))
        torch.testing.assert_close(written(0, inputs), heads(*reader(None, inputs)).detach(), atol=1e-5, rtol=1e-5)


@given(rows=ROWS)
@settings(max_examples=25)
def test_what_is_written_a_part_at_a_time_is_the_same(rows: list[tuple[int, list[float], list[int]]]) -> None:
    heads, reader = made()
    inputs = encode(texts(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rmgym.models.heads.written._SLOTS", 2)
        asked = list[int]()

        def read(templates: Sequence[str], phrases: Sequence[str]) -> Reading:
            asked.append(len(templates))
            return reader.read(None, templates, phrases)

        written = WrittenHeads(heads, read)
        torch.testing.assert_close(written(0, inputs), heads(*reader(None, inputs)).detach(), atol=1e-5, rtol=1e-5)
        numbered = [t for t in inputs.templates if t in TEMPLATES[:2]]
        assert len(asked) >= len(numbered)  # templates with numbers are read one or two at a time
        before = len(asked)
        written(0, inputs)
        assert len(asked) == before  # once


def test_large_numbers_next_to_each_other_are_told_apart() -> None:
    """In single precision the first integer that is not told from the one before is 2^24 + 1."""
    stamps = [2.0**24, 2.0**24 + 1, 2.0**24 + 2]
    texts = TextBatch.from_strings([f"id: {stamp:.0f}" for stamp in stamps])
    reader = LateReader(0)
    reader.prepare(None, texts)
    torch.manual_seed(0)
    heads = BindingHeads(reader.size, 1, 16, 8)
    inputs = encode(texts)
    reading, _ = reader(None, inputs)
    features = heads.number_features(reading.mean[:1], reading.spread[:1], inputs.numbers, None)
    assert features.flatten().tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    for rewards in (heads(*reader(None, inputs)), WrittenHeads(heads, lambda t, p: reader.read(None, t, p))(0, inputs)):
        assert len(set(rewards.flatten().tolist())) == 3


def test_hundreds_of_numbers_are_scored_in_half_precision() -> None:
    """Counts above 256 have no place in bfloat16."""
    texts = TextBatch.from_strings([", ".join(f"x{i}: {j}.{i % 10}" for i in range(300)) for j in range(3)])
    reader = LateReader(0)
    reader.prepare(None, texts)
    heads = BindingHeads(reader.size, 2, 16, 8)
    exact = heads(*reader(None, encode(texts)))
    heads, reader = heads.bfloat16(), reader.bfloat16()
    written = WrittenHeads(heads, lambda templates, phrases: reader.read(None, templates, phrases))
    torch.testing.assert_close(written(0, encode(texts)).float(), exact.float(), atol=0.1, rtol=0.1)


def test_heads_are_independent() -> None:
    heads, reader = made()
    inputs: Encoded = encode(SEEN)
    heads(*reader(None, inputs))[:, 1].square().sum().backward()
    for name, parameter in heads.named_parameters():
        gradient = parameter.grad
        if name.startswith("role."):
            assert gradient is None  # roles of numbers do not learn
            continue
        assert gradient is not None, name
        own = gradient.view(3, -1)
        assert own[1].abs().sum() > 0, name
        assert own[[0, 2]].abs().sum() == 0, name


def test_an_order_of_slots_is_known_by_the_words_before_them() -> None:
    """A number moved to another slot is another step: roles differ."""
    heads, reader = made()
    one, other = heads(*reader(None, encode(texts([(1, [1, 2], []), (1, [2, 1], [])]))))
    assert (one - other).abs().min() > 1e-4


@pytest.mark.parametrize("size", [128, 512])
def test_roles_have_the_same_share_in_common_whatever_the_language_models_size(size: int) -> None:
    torch.manual_seed(0)
    heads = BindingHeads(size, heads=1, width=4, roles=4096)
    slots = torch.randn(40, size)
    with torch.no_grad():
        projected = heads.role(slots - slots.mean(dim=0))
    common = projected.mean(dim=0)
    assert float(common.var() / (projected - common).var()) == pytest.approx(1 / 128, rel=0.1)
