"""What is read of templates and phrases: once, in parts, standardised, and of slots and phrases never seen."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rmgym.errors import ModelError
from rmgym.models import create_reward_model
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.backbones.states_file import StatesFile, states_file
from rmgym.models.backbones.tower import Tower
from rmgym.models.contract import RewardModelContract
from rmgym.models.readers.alike import drawn, matched
from rmgym.models.readers.base import KeptStates
from rmgym.models.readers.hashing import Name
from rmgym.models.readers.late import LateReader, decorrelation
from rmgym.models.readers.seen import Seen
from rmgym.models.readers.whole_texts import read_texts, states_of
from rmgym.text.batch import TextBatch
from tests.hostile import put_in_the_way
from tests.models.tiny import save_causal, save_encoder


def tower(folder: Path, *, kind: str = "encoder") -> Tower:
    """A tiny frozen language model."""
    name = str(save_encoder(folder) if kind == "encoder" else save_causal(folder))
    return Tower(load_backbone(name), "frozen", dtype=torch.float32, rank=1, alpha=1).eval()


class TestNoLanguageModel(RewardModelContract):
    def make_model(self) -> Any:
        return create_reward_model("no-lm", seed=1, width=16, roles=8)


class _Prepared(RewardModelContract):
    """A model that has seen some texts, and is asked about others, with slots and phrases that it has not seen."""

    name = "no-lm"

    def make_model(self) -> Any:
        model: Any = create_reward_model(self.name, seed=1, width=16, roles=8)
        template = "Room {:s}. height in m: {:.1f}, speed in m/s: {:.1f}, the {:s} is {:s}."
        rows = [["A1", "door", "open"], ["A2", "red box", "shut"], ["B1", "door", "shut"]]
        model.prepare(batch(template, [[1.5, 3], [2.5, -1], [0, 0.5]], rows))
        model.accept_random_weights()
        return model.eval()

    def texts(self) -> TextBatch:
        return TextBatch.from_strings(
            [
                "Room A1. height in m: 1.5, speed in m/s: 3.0, the door is open.",
                "Room C3. height in m: 2.5, speed in m/s: 3.0, the green box is open.",
                "Room C4. height in m: 2.5, velocity in m/s: 1.0, the gate is ajar.",
                "Room A2. altitude: 2.5, how fast: 3.0.",
                "height in m: 2.0, height in m: 3.0, height in m: 4.0",
                "something else altogether",
            ]
        )


class TestPreparedWithoutALanguageModel(_Prepared):
    pass


class TestPreparedWithALanguageModel(_Prepared):
    name = "minilm"


def test_a_slot_that_was_seen_is_taken_for_itself() -> None:
    """Where one name of a template is new, the others are known as before, and nothing takes their place."""
    reader = LateReader(0)
    kitchen, garden = "kitchen. height: {:.1f}, speed: {:.1f}", "garden. height: {:.1f}, speed: {:.1f}"
    seen = TextBatch.concatenate([batch(kitchen, [[100, 4], [200, 6]]), batch(garden, [[1, 4], [3, 6]])])
    reader.prepare(None, seen)
    reading = reader.read(None, ["garden. height: {:.1f}, velocity: {:.1f}"], ())
    assert reading.mean[0, 0] == 2
    assert reading.mean[0, 1] in (5, 150)  # without a language model, velocity is like nothing


def test_statistics_are_those_of_the_last_fit_alone() -> None:
    first, second = batch("x: {:.1f}, the {:s}", [[1], [2]], [["door"], ["key"]]), batch("y: {:.1f}", [[1], [2]])
    again, fresh = LateReader(0), LateReader(0)
    again.prepare(None, first)
    for reader in (again, fresh):
        reader.prepare(None, second)
    assert torch.equal(again.scales, fresh.scales)
    assert torch.equal(again.apart, fresh.apart)


def test_numbers_of_any_size_are_told_from_a_constant() -> None:
    small = Seen.of(batch("current: {:.9f}", [[1e-7], [3e-7]])).numbers
    assert list(small.values()) == [pytest.approx((2e-7, 1e-7))]
    constant = Seen.of(batch("time: {:.1f}", [[1e12 + 0.1]] * 1000)).numbers
    assert [spread for _, spread in constant.values()] == [1.0]


TEXTS = ["angle in rad: {:.2f}, the {:s}", "pole", "torque: {:.1f}, speed: {:.0f}", "push left", "", "pole angle"]


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_texts_read_together_are_those_read_alone(tmp_path: Path, kind: str) -> None:
    lm = tower(tmp_path, kind=kind)
    with torch.no_grad():
        together = read_texts(lm, TEXTS)
        alone = torch.cat([read_texts(lm, [text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), 16)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_a_text_longer_than_the_model_reads_is_read_in_parts_or_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("rmgym.models.readers.whole_texts._OVERLAP", 6)
    lm = tower(tmp_path, kind=kind)
    backbone = lm.backbone
    ids, _ = backbone.plain_tokens("".join(f"angle in rad: {{:.2f}}, speed {'m' * i}: {{:.1f}}, " for i in range(60)))
    room = backbone.max_tokens - len(backbone.prefix) - len(backbone.suffix)
    assert len(ids) > 2 * room
    starts = list(range(0, len(ids) - 6, room - 6))  # each part begins six tokens before the end of the one before
    with torch.no_grad():
        (whole,) = read_texts(lm, ["".join(f"angle in rad: {{:.2f}}, speed {'m' * i}: {{:.1f}}, " for i in range(60))])
        wholes = []
        for start in starts:
            part = [*backbone.prefix, *ids[start : start + room], *backbone.suffix]
            states = lm.scaled(lm.running(input_ids=torch.tensor([part])).last_hidden_state[0])
            wholes.append(states.mean(dim=0))
        end = [*backbone.prefix, *ids[-room:], *backbone.suffix]
        last = lm.scaled(lm.running(input_ids=torch.tensor([end])).last_hidden_state[0])[-1]
    expected = last if kind == "causal" else torch.stack(wholes).mean(dim=0)
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=1e-5)


def batch(template: str, numbers: list[list[float]], phrases: list[list[str]] | None = None) -> TextBatch:
    """Texts of one template."""
    words = phrases or [[] for _ in numbers]
    distinct = list(dict.fromkeys(p for row in words for p in row))
    return TextBatch(
        templates=(template,),
        template_index=np.zeros(len(numbers), np.int32),
        numbers=np.array([x for row in numbers for x in row], np.float64),
        offsets=np.arange(len(numbers) + 1) * len(numbers[0]),
        phrases=tuple(distinct),
        words=np.array([distinct.index(p) for row in words for p in row], np.int32),
    )


def test_numbers_are_standardised_slot_by_slot() -> None:
    reader = LateReader(0)
    reader.prepare(None, batch("x: {:.1f}, y: {:.1f}, z: {:.1f}", [[1, 10, 5], [3, 30, 5]]))
    reading = reader.read(None, ["x: {:.1f}, y: {:.1f}, z: {:.1f}"], [])
    assert reading.mean.tolist() == [[2, 20, 5]]
    assert reading.spread.tolist() == [[1, 10, 1]]  # what does not vary keeps its unit
    # A slot is known by the clause before it, wherever it stands.
    reading = reader.read(None, ["now z: {:.1f}, y: {:.1f}", "So. y: {:.1f}; x: {:.1f}"], [])
    assert reading.mean.tolist() == [[5, 20], [20, 2]]


def test_slots_never_seen_are_taken_for_those_that_mean_most_the_same() -> None:
    model: Any = create_reward_model("minilm", width=16, roles=8)
    card = "State: {}: {{:.1f}}, {}: {{:.1f}}, {}: {{:.1f}}. Next state: {}: {{:.1f}}, {}: {{:.1f}}, {}: {{:.1f}}."
    seen = card.format(*("height above the pad", "velocity to the right", "tilt to the left") * 2)
    model.prepare(batch(seen, [[0, 10, 20, 30, 40, 50], [2, 12, 22, 32, 42, 52]]))
    new = card.format(*("leftward inclination", "elevation above the target", "horizontal rate of travel") * 2)
    expected, reading = (model.reader.read(model.tower, [template], []) for template in (seen, new))
    order = [2, 0, 1, 5, 3, 4, 8, 6, 7]  # what comes before, what comes next and the changes are kept apart
    assert reading.mean.tolist() == [[21, 1, 11, 51, 31, 41, 30, 30, 30]]
    assert torch.equal(reading.slots[0], expected.slots[0][order])


def test_two_new_slots_are_not_taken_for_one_as_long_as_there_are_others() -> None:
    a, b, c, d, e = (Name(clause, 0, clause) for clause in "abcde")
    assert matched(torch.tensor([[0.9, 0.8], [0.7, 0.1]]), [c, d], [a, b]) == [b, a]  # 0.8 + 0.7 > 0.9 + 0.1
    three = torch.tensor([[0.9, 0.2], [0.1, 0.8], [0.3, 0.4]])
    assert matched(three, [c, d, e], [a, b]) == [a, b, b]
    # What was there equally often before goes before what is somewhat more alike.
    assert matched(torch.tensor([[0.6, 0.9]]), [c], [a, Name("b", 1, "b")]) == [a]


def test_a_phrase_never_seen_is_a_blend_of_those_that_were() -> None:
    model: Any = create_reward_model("minilm", width=16, roles=8)
    phrases = ["in the air", "on the ground", "the main engine"]
    model.prepare(batch("it is {:s}", [[], [], []], [[p] for p in phrases]))
    seen, new = (
        model.reader.read(model.tower, ["it is {:s}"], p).phrases for p in (phrases, ["resting on the surface"])
    )
    states = read_texts(model.tower, [*phrases, "resting on the surface"])
    cosines = F.cosine_similarity(states[3:], states[:3])
    torch.testing.assert_close(new[0], (cosines / 0.1).softmax(dim=0) @ seen)
    assert int(cosines.argmax()) == 1


def test_heads_take_a_phrase_never_seen_for_those_that_were_in_proportion() -> None:
    weights = torch.tensor([[0.5, 0.1, 0.4], [0.05, 0.9, 0.05], [0.25, 0.35, 0.4]])
    alike = 0.1 * weights.log()  # of which the softmax gives the weights back
    assert drawn(alike, 5).tolist() == [[0, 0, 0, 2, 2], [1, 1, 1, 1, 1], [2, 2, 1, 1, 0]]
    assert drawn(alike, 1).tolist() == [[0], [1], [2]]  # one head takes the most alike


def test_std_is_larger_where_nobody_knows_what_a_phrase_means() -> None:
    model: Any = create_reward_model("minilm", width=16, roles=8).accept_random_weights()  # type: ignore[attr-defined]
    phrases = ["in the air", "on the ground", "the main engine"]
    labelled = batch("it is {:s}", [[], [], []], [[p] for p in phrases])
    model.prepare(labelled)
    new = batch("it is {:s}", [[], [], []], [["resting on the surface"], ["hovering"], ["on the ground"]])
    heads = [model.rewards(model.encode(each)) for each in (new, labelled)]
    predicted = model.predict(new)
    assert float(predicted.std[2]) == pytest.approx(float(heads[0][2].std()), rel=1e-5)  # that one is known
    states = read_texts(model.tower, [*phrases, "resting on the surface", "hovering"])
    alike = F.cosine_similarity(states[3:, None], states[None, :3], dim=2)
    for i, taken in enumerate(drawn(alike, 5).tolist()):
        guesses = torch.stack([heads[1][phrase, head] for head, phrase in enumerate(taken)])
        assert float(predicted.std[i]) == pytest.approx(float(guesses.std()), rel=1e-4)
    assert len(set(drawn(alike, 5)[1].tolist())) > 1  # "hovering" could be any of them


def test_slots_with_like_words_are_told_apart_and_stay_more_alike_than_others() -> None:
    model: Any = create_reward_model("minilm", width=16, roles=8)
    pairs = ("left wheel", "right wheel", "price of apples", "price of pears", "his age", "her age")
    template = ", ".join(f"{name}: {{:.1f}}" for name in pairs)
    model.prepare(batch(template, [[1, 2, 3, 4, 5, 6], [4, 5, 6, 7, 8, 9]]))
    slots = model.reader.read(model.tower, [template], []).slots[0]
    assert float(slots.square().mean()) == pytest.approx(1, rel=1e-3)
    alike = F.cosine_similarity(slots[None], slots[:, None], dim=-1).fill_diagonal_(-1)
    assert alike.argmax(dim=1)[:2].tolist() == [1, 0]
    assert alike.max() < 0.5


def test_decorrelation_goes_most_of_the_way_to_whitening() -> None:
    torch.manual_seed(0)
    states = torch.randn(500, 3) @ torch.diag(torch.tensor([4.0, 1.0, 0.0]))  # the last is always the same
    states -= states.mean(dim=0)
    apart = states @ decorrelation(states)
    # Standard deviations of 4 and 1 become 4 ** 0.2 and 1, in a common unit; columns are next to uncorrelated.
    assert float(apart[:, 0].std() / apart[:, 1].std()) == pytest.approx(4**0.2, rel=0.05)
    assert float(apart.square().mean()) == pytest.approx(1, rel=1e-4)
    assert float(apart[:, 2].abs().max()) < 1e-3
    assert decorrelation(torch.zeros(1, 3)).equal(torch.eye(3))  # one slot alone differs from none


def test_what_was_always_the_same_counts_for_nothing() -> None:
    model: Any = create_reward_model("no-lm", width=16, roles=8)
    model.prepare(batch("x: {:.1f}, y: {:.1f}", [[1, 2], [3, 4]]))
    same, other = model.reader.read(None, ["x: {:.1f}, y: {:.1f}", "other words, x: {:.1f}, y: {:.1f}"], []).texts
    assert same.tolist() == other.tolist()  # no text of other words was seen, so that none has been learnt of


def test_plain_strings_are_scored_as_the_batch_that_they_come_from() -> None:
    model: Any = create_reward_model("no-lm", width=16, roles=8).accept_random_weights()  # type: ignore[attr-defined]
    texts = batch("x: {:.1f}, the {:s}", [[1], [2], [3]], [["red door"], ["key"], ["red door"]])
    model.prepare(texts)
    np.testing.assert_allclose(model.predict(texts.strings()).mean, model.predict(texts).mean, atol=1e-6)
    # A phrase never seen is one all the same.
    assert model.encode(TextBatch.from_strings(["x: 1.0, the green ball"])).phrases == ("green ball",)


def test_statistics_are_saved_and_part_of_the_digest(tmp_path: Path) -> None:
    model: Any = create_reward_model("no-lm", width=16, roles=8)
    before = model.digest
    model.prepare(batch("x: {:.1f}", [[1], [3]]))
    assert model.digest != before
    model.save(tmp_path)
    from rmgym.models import load_reward_model

    loaded: Any = load_reward_model(tmp_path)
    assert loaded.digest == model.digest
    assert loaded.reader.read(None, ["x: {:.1f}"], []).mean.tolist() == [[2]]


@pytest.mark.parametrize("facts", [{}, {"seen": "no JSON"}, {"seen": "[]"}, {"seen": '{"numbers": 1}'}])
def test_statistics_that_are_none_are_refused(facts: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="saved with what it was fitted on"):
        LateReader(0).restore(facts)


def test_states_are_kept_on_disk_and_a_broken_file_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RMGYM_CACHE", str(tmp_path / "cache"))
    backbone = tower(tmp_path / "lm").backbone
    file, states = states_file(backbone), np.arange(16, dtype=np.float32)
    file.put({"x: {:.1f}": states})
    again = states_file(backbone).get(["x: {:.1f}", "y: {:.1f}"])
    assert list(again) == ["x: {:.1f}"]
    assert np.array_equal(again["x: {:.1f}"], states)
    (path,) = (tmp_path / "cache" / "texts").glob("*.sqlite")
    with closing(sqlite3.connect(path)) as other, other:  # a flipped bit
        ((content,),) = other.execute("SELECT states FROM states").fetchall()
        other.execute("UPDATE states SET states = ?", [content[:3] + bytes([content[3] ^ 1]) + content[4:]])
    assert states_file(backbone).get(["x: {:.1f}"]) == {}
    file.put({"x: {:.1f}": states})
    assert np.array_equal(file.get(["x: {:.1f}"])["x: {:.1f}"], states)
    (path,) = (tmp_path / "cache" / "texts").glob("*.sqlite")
    for old in (tmp_path / "cache" / "texts").iterdir():
        old.unlink()
    path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    lm = tower(tmp_path / "lm")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert len(states_of(lm, ["x: {:.1f}"])) == 1
    assert len(caplog.records) == 1
    assert "are not kept" in caplog.text


@pytest.mark.parametrize("end", ["", "-journal"])
def test_a_pipe_in_the_place_of_kept_states_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    states, texts = {"x": np.ones(3, np.float32)}, StatesFile(tmp_path / "states.sqlite", 3)
    texts.put(states)
    put_in_the_way(tmp_path / f"states.sqlite{end}", "fifo")
    assert texts.get(["x"]) == {}
    texts.put(states)
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["it is no regular file"]
    assert [path.is_fifo() for path in tmp_path.iterdir() if path.name == f"states.sqlite{end}"] == [True]


def test_states_are_kept_within_their_bytes() -> None:
    kept = KeptStates[torch.Tensor](most=5, size=attrgetter("nbytes"), most_bytes=3000)
    for i in range(9):
        kept.keep(f"{i}", torch.zeros(100))
        assert len(kept) == min(i + 1, 5)
    kept.keep("long" * 300, torch.zeros(250))
    assert [text for text in map(str, range(9)) if text in kept] == ["8"]
    kept.keep("larger than all", torch.zeros(1000))
    assert len(kept) == 0
    kept.keep("next", torch.zeros(1))
    assert "next" in kept


def test_a_model_that_lacks_what_is_known_of_a_number_is_refused() -> None:
    model: Any = create_reward_model("no-lm", width=16, roles=8)
    model.prepare(batch("height: {:.1f}, height: {:.1f}", [[1, 2], [3, 5]]))
    facts = json.loads(model.reader.facts()["seen"])
    assert len(facts["numbers"]) == 3  # both, and the change
    model.reader.restore({"seen": json.dumps(facts)})
    facts["numbers"].pop()
    with pytest.raises(ModelError, match="fitted on"):
        model.reader.restore({"seen": json.dumps(facts)})


def test_the_same_words_are_read_once_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tower(tmp_path)
    reader = LateReader(lm.backbone.state_size)
    one, other = "speed: {:.1f}, height: {:.1f}", "height: {:.1f} of the {:s}"
    texts = TextBatch.concatenate([batch(one, [[1, 2], [3, 5]]), batch(other, [[4], [5]], [["door"], ["key"]])])
    reader.prepare(lm, texts)
    reads = list[tuple[str, ...]]()
    read = reader.read
    monkeypatch.setattr(
        reader, "read", lambda lm, templates, phrases: reads.append(templates) or read(lm, templates, phrases)
    )
    inputs = reader.encode(texts)
    first, _ = reader(lm, inputs)
    again, _ = reader(lm, inputs.take(torch.arange(4)))
    assert again is first
    with torch.autocast("cpu", torch.bfloat16):
        assert reader(lm, inputs)[0].slots.dtype == torch.float32
    reader(lm, inputs.take(torch.arange(2)))
    assert len(reads) == 2
    reader.scales.mul_(2)
    half, _ = reader(lm, inputs)
    assert not torch.equal(half.texts, first.texts)
    reader.prepare(lm, texts[1:])
    assert not torch.equal(reader(lm, inputs)[0].texts, half.texts)
    assert len(reads) == 4
