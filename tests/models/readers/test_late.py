"""What is read of templates and phrases: once, in parts, standardised, and of slots never seen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rmgym.errors import ModelError
from rmgym.models import create_reward_model
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.backbones.states_file import StatesFile
from rmgym.models.backbones.tower import Tower
from rmgym.models.contract import RewardModelContract
from rmgym.models.readers.late import LateReader, decorrelation
from rmgym.models.readers.templates import read_templates
from rmgym.text.batch import TextBatch
from tests.models.tiny import save_causal, save_encoder


def tower(folder: Path, *, kind: str = "encoder") -> Tower:
    """A tiny frozen language model."""
    name = str(save_encoder(folder) if kind == "encoder" else save_causal(folder))
    return Tower(load_backbone(name), "frozen", dtype=torch.float32, rank=1, alpha=1).eval()


class TestNoLanguageModel(RewardModelContract):
    def make_model(self) -> Any:
        return create_reward_model("no-lm", seed=1, width=16, roles=8)


TEXTS = ["angle in rad: {:.2f}, the {:s}", "pole", "torque: {:.1f}, speed: {:.0f}", "push left", "", "pole angle"]


@pytest.mark.parametrize("kind", ["encoder", "causal"])
def test_texts_read_together_are_those_read_alone(tmp_path: Path, kind: str) -> None:
    lm = tower(tmp_path, kind=kind)
    with torch.no_grad():
        together = read_templates(lm, TEXTS)
        alone = [read_templates(lm, [text])[0] for text in TEXTS]
    for (slots, whole), (own_slots, own_whole), count in zip(together, alone, [2, 0, 2, 0, 0, 0], strict=True):
        assert slots.shape == (count, 16)
        torch.testing.assert_close(slots, own_slots, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(whole, own_whole, atol=1e-5, rtol=1e-5)


def test_a_text_longer_than_the_model_reads_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmgym.models.readers.templates._OVERLAP", 6)
    lm = tower(tmp_path)
    long = "".join(f"angle in rad: {{:.2f}}, speed {'m' * i}: {{:.1f}}, " for i in range(60))
    ids, positions = lm.backbone.plain_tokens(long)
    room = lm.backbone.max_tokens - 2
    assert len(ids) > 2 * room
    with torch.no_grad():
        ((slots, whole),) = read_templates(lm, [long])
        # The second part begins six tokens before the first one's end, and gives the slots behind that.
        part = [*lm.backbone.prefix, *ids[room - 6 : 2 * room - 6], *lm.backbone.suffix]
        states = lm.running(input_ids=torch.tensor([part])).last_hidden_state[0]
    assert slots.shape == (120, 16)
    second = [j for j, p in enumerate(positions) if room <= p < 2 * room - 6]
    expected = states[[positions[j] - (room - 6) + 1 for j in second]]
    torch.testing.assert_close(slots[second], expected, atol=1e-5, rtol=1e-5)
    assert bool(torch.isfinite(whole).all())


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
    reading = reader.read(None, ["x: {:.1f}, y: {:.1f}, y: {:.1f}", ", y: {:.1f}"], [])
    # A slot is known by the words before it; one more of a kind is as those before.
    assert reading.mean.tolist() == [[2, 20, 20], [20, 0, 0]]


def test_a_slot_never_seen_is_taken_for_the_one_that_means_most_the_same() -> None:
    model: Any = create_reward_model("minilm", width=16, roles=8)
    model.prepare(batch("Speed in metres per second: {:.1f}, colour code: {:.1f}", [[100, 1], [300, 3]]))
    reading = model.reader.read(model.tower, ["Velocity in m/s: {:.1f}"], [])
    assert reading.mean.tolist() == [[200]]


def test_what_was_always_the_same_counts_for_nothing() -> None:
    model: Any = create_reward_model("no-lm", width=16, roles=8)
    model.prepare(batch("x: {:.1f}, y: {:.1f}", [[1, 2], [3, 4]]))
    same, other = model.reader.read(None, ["x: {:.1f}, y: {:.1f}", "other words, x: {:.1f}, y: {:.1f}"], []).texts
    assert same.tolist() == other.tolist()  # no text of other words was seen, so that none has been learnt of


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


def test_decorrelation_goes_halfway_to_whitening() -> None:
    torch.manual_seed(0)
    states = torch.randn(500, 3) @ torch.diag(torch.tensor([4.0, 1.0, 0.0]))  # the last is always the same
    states -= states.mean(dim=0)
    apart = states @ decorrelation(states)
    # Standard deviations of 4 and 1 become 2 and 1, in a common unit; between columns there is next to no correlation.
    assert float(apart[:, 0].std() / apart[:, 1].std()) == pytest.approx(2, rel=0.05)
    assert float(apart.square().mean()) == pytest.approx(1, rel=1e-4)
    assert float(apart[:, 2].abs().max()) < 1e-3
    assert decorrelation(torch.zeros(1, 3)).equal(torch.eye(3))  # one slot alone differs from none


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


@pytest.mark.parametrize("facts", [{}, {"statistics": "no JSON"}, {"statistics": "[]"}, {"statistics": '{"slots": 1}'}])
def test_statistics_that_are_none_are_refused(facts: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="saved with the statistics of its numbers"):
        LateReader(0).restore(facts)


def test_states_are_kept_on_disk_and_a_broken_file_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RMGYM_CACHE", str(tmp_path / "cache"))
    backbone = tower(tmp_path / "lm").backbone
    file, states = StatesFile(backbone), np.arange(32, dtype=np.float32).reshape(2, 16)
    file.put({"x: {:.1f}": states})
    again = StatesFile(backbone).get(["x: {:.1f}", "y: {:.1f}"])
    assert list(again) == ["x: {:.1f}"]
    assert np.array_equal(again["x: {:.1f}"], states)
    (path,) = (tmp_path / "cache" / "states").glob("*.sqlite")
    for old in (tmp_path / "cache" / "states").iterdir():
        old.unlink()
    path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    broken = StatesFile(backbone)
    with caplog.at_level(logging.WARNING):
        assert broken.get(["x: {:.1f}"]) == {}
        broken.put({"x: {:.1f}": states})
        assert broken.get(["x: {:.1f}"]) == {}
    assert len(caplog.records) == 1
    assert "are not kept" in caplog.text
