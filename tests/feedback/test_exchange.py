"""Labels go out as other programs read them, and come back as what they were."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet as parquet
import pytest

import rmgym
from rmgym.errors import FeedbackError, StorageError
from rmgym.feedback.cleaning import clean
from rmgym.feedback.exchange import export_labels
from rmgym.feedback.sheets import Sheet
from rmgym.feedback.sources import labels_of
from rmgym.feedback.store import LabelStore
from rmgym.transitions import Transitions

datasets = pytest.importorskip("datasets", reason="the extra 'data'")
Asked = tuple[Transitions, rmgym.TextBatch]


@pytest.fixture(scope="module")
def pendulum() -> Asked:
    steps = rmgym.collect("Pendulum-v1", 100, reset_every=10, progress=False)
    return steps, rmgym.textualizer("Pendulum-v1").batch(steps)


@pytest.fixture
def store(tmp_path: Path, pendulum: Asked) -> LabelStore:
    """Six comparisons of three steps each: left, right with a margin, a tie, both, skipped, unanswered."""
    store = LabelStore(tmp_path / "labels.sqlite")
    pairs = np.array([(0, 10), (20, 30), (40, 50), (60, 70), (80, 90), (5, 15)])
    asked = store.add_preference_queries(*pendulum, pairs, 3)
    for query, choice, margin in zip(asked[:4], (1.0, 0.0, 0.5, 1.0), (0.0, 1.5, 0.0, 0.0), strict=True):
        store.prefer(query, choice, annotator="ann", source="human", margin=margin)
    store.prefer(asked[3], 0.0, annotator="bob", source="human")
    store.skip(asked[4], annotator="ann", source="human")
    return store


def rate(store: LabelStore, pendulum: Asked, values: tuple[float, ...] = (3, 5)) -> list[str]:
    """Rated steps: their texts."""
    rows = np.arange(1, 1 + len(values))
    for query, value in zip(store.add_rating_queries(*pendulum, rows), values, strict=True):
        store.rate(query, value, annotator="ann", source="human", levels=5)
    return pendulum[1][rows].strings()


def segment(pendulum: Asked, first: int) -> str:
    return "\n".join(pendulum[1][first : first + 3].strings())


def read(path: Path) -> dict[str, list[object]]:
    return {name: [*column] for name, column in Sheet.read(path).columns.items()}


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.jsonl", "pairs.csv", "pairs"])
def test_pairs_have_the_better_text_first(store: LabelStore, pendulum: Asked, tmp_path: Path, name: str) -> None:
    written = export_labels(store, tmp_path / "out" / name)
    assert (written.content, written.rows, written.ties, written.alike, written.skipped) == ("pairs", 2, 2, 0, 1)
    columns = read(written.path)
    assert columns["chosen"] == [segment(pendulum, 0), segment(pendulum, 30)]
    assert columns["rejected"] == [segment(pendulum, 10), segment(pendulum, 20)]
    assert [float(str(margin)) for margin in columns["margin"]] == [0.0, 1.5]
    alone = export_labels(store.path, tmp_path / f"ann-{name}", annotator="ann")
    assert (alone.rows, alone.ties) == (3, 1)


def test_what_is_exported_is_fitted_on(store: LabelStore, tmp_path: Path) -> None:
    for name in ("pairs.parquet", "folder"):
        again = labels_of(export_labels(store, tmp_path / name).path).preferences
        assert again is not None
        assert again.choice.tolist() == [1, 1]
        assert again.margin.tolist() == [0, 1.5]


def test_margins_are_a_column_where_there_are_some(store: LabelStore, pendulum: Asked, tmp_path: Path) -> None:
    plain = LabelStore(tmp_path / "plain.sqlite")
    (query,) = plain.add_preference_queries(*pendulum, np.array([(0, 10)]), 1)
    plain.prefer(query, 0.25, annotator="ann", source="human")
    columns = read(export_labels(plain, tmp_path / "pairs.parquet").path)
    assert columns == {"chosen": pendulum[1][10:11].strings(), "rejected": pendulum[1][0:1].strings()}


def test_ratings_are_texts_and_numbers(store: LabelStore, pendulum: Asked, tmp_path: Path) -> None:
    texts = rate(store, pendulum)
    with pytest.raises(FeedbackError, match=r"(?s)which holds ratings and pairs.*content='ratings' or content='pairs'"):
        export_labels(store, tmp_path / "labels.parquet")
    written = export_labels(store, tmp_path / "labels.parquet", content="ratings")
    assert (written.rows, written.skipped) == (2, 0)
    assert read(written.path) == {"text": texts, "rating": [3, 5]}
    frame = pandas.read_parquet(written.path)
    assert frame["rating"].mean() == 4


@pytest.mark.parametrize("name", ["answers.csv", "answers.parquet", "answers.jsonl", "answers"])
def test_answers_are_as_they_were_given(store: LabelStore, pendulum: Asked, tmp_path: Path, name: str) -> None:
    rate(store, pendulum)
    written = export_labels(store, tmp_path / name, content="answers")
    assert (written.rows, written.skipped) == (8, 1)
    rows = read(written.path)
    assert rows["annotator"] == ["ann"] * 4 + ["bob", "ann", "ann", "ann"]
    assert rows["kind"] == ["preference"] * 6 + ["rating"] * 2
    assert rows["right"][0] == segment(pendulum, 10)
    assert [None if c is None else float(str(c)) for c in rows["choice"]] == [1, 0, 0.5, 1, 0, None, None, None]
    assert export_labels(store, tmp_path / f"bob-{name}", content="answers", annotator="bob").rows == 1


def test_what_cleaning_sets_aside_is_counted_and_explained(pendulum: Asked, tmp_path: Path) -> None:
    """Of three who rate alike and one who gives a single level; what they compared is not counted with it."""
    store = LabelStore(tmp_path / "several.sqlite")
    for i, query in enumerate(store.add_rating_queries(*pendulum, np.arange(60))):
        value = 3.0 if i % 4 == 3 else 1.0 + i % 5
        store.rate(query, value, annotator="abcd"[i % 4], source="human", levels=5)
    (twice,) = store.add_preference_queries(*pendulum, np.array([(0, 10)]), 1)
    (again,) = store.add_preference_queries(*pendulum, np.array([(10, 0)]), 1)
    (other,) = store.add_preference_queries(*pendulum, np.array([(20, 30)]), 1)
    for query in (twice, again, other):
        store.prefer(query, 1.0, annotator="a", source="human")
    written = export_labels(store, tmp_path / "ratings.csv", content="ratings")
    assert (written.rows, written.set_aside) == (45, 15)
    assert written.cleaning == tuple(clean(store.given()).audit.lines())  # type: ignore[union-attr]
    assert any("constant: 15 of d" in line for line in written.cleaning)
    pairs = export_labels(store, tmp_path / "pairs.csv", content="pairs")
    assert (pairs.rows, pairs.set_aside) == (1, 2)
    plain = export_labels(store, tmp_path / "plain.csv", content="ratings", clean=False)
    assert (plain.rows, plain.set_aside, plain.cleaning) == (60, 0, ())
    assert export_labels(store, tmp_path / "answers.csv", content="answers").set_aside == 0


def test_labels_and_tables_are_exported_too(tmp_path: Path) -> None:
    pairs = {"chosen": ["a", "b"], "rejected": ["x", "y"]}
    assert read(export_labels(pairs, tmp_path / "pairs").path) == pairs
    assert read(export_labels(labels_of(pairs), tmp_path / "pairs.csv").path) == pairs
    with pytest.raises(FeedbackError, match="answers to export"):
        export_labels(pairs, tmp_path / "answers.csv", content="answers")


def test_what_cannot_be_exported_is_explained(store: LabelStore, pendulum: Asked, tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="a table is CSV, JSON lines or Parquet"):
        export_labels(store, tmp_path / "l.txt")
    with pytest.raises(FeedbackError, match="did you mean 'pairs'"):
        export_labels(store, tmp_path / "l.csv", content="pair")  # type: ignore[arg-type]
    with pytest.raises(FeedbackError, match=r"(?s)which holds pairs.*ask for content='pairs'"):
        export_labels(store, tmp_path / "l.csv", content="ratings")
    with pytest.raises(FeedbackError, match=r"no answers.*\n.*none.sqlite|labels are read from a database"):
        export_labels(tmp_path / "none.sqlite", tmp_path / "l.csv")
    tie = LabelStore(tmp_path / "tie.sqlite")
    (query,) = tie.add_preference_queries(*pendulum, np.array([(0, 10)]), 1)
    tie.prefer(query, 0.5, annotator="ann", source="human")
    with pytest.raises(FeedbackError, match="1 ties, 0 comparisons of equal texts"):
        export_labels(tie, tmp_path / "l.csv")
    with pytest.raises(FeedbackError, match=r"(?s)can be read|text and numbers"):
        export_labels({"text": ["\ud800"], "rating": [1]}, tmp_path / "l.parquet")
    assert not [*tmp_path.glob("l.*")]


def test_nothing_is_replaced_unasked(store: LabelStore, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "precious").write_text("x", encoding="utf-8")
    for name in ("pairs.csv", "pairs"):
        export_labels(store, tmp_path / name)
        with pytest.raises(StorageError, match="there already"):
            export_labels(store, tmp_path / name)
        assert export_labels(store, tmp_path / name, annotator="ann", overwrite=True).rows == 3
        assert len(Sheet.read(tmp_path / name)) == 3
    with pytest.raises(StorageError, match="takes the place of another one alone"):
        export_labels(store, tmp_path / "runs", overwrite=True)
    assert (tmp_path / "runs" / "precious").exists()


def test_exported_parquet_has_checksums(store: LabelStore, tmp_path: Path) -> None:
    file = export_labels(store, tmp_path / "answers.parquet", content="answers").path
    content = file.read_bytes()
    place = content.index(b"human")
    file.write_bytes(content[:place] + b"H" + content[place + 1 :])
    with pytest.raises(OSError, match="CRC"):
        parquet.read_table(file, page_checksum_verification=True)


@pytest.mark.parametrize("name", ["l.csv", "l.parquet", "l"])
def test_a_full_disk_leaves_what_was_there(
    store: LabelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "exported"
    export_labels(store, folder / name)
    before = read(folder / name)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left(?s:.)*intact"):
        export_labels(store, folder / name, annotator="ann", overwrite=True)
    assert [path.name for path in folder.iterdir()] == [name]
    assert read(folder / name) == before


def test_folders_of_datasets_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="one of the library datasets"):
        labels_of(tmp_path)
    table = datasets.Dataset.from_dict({"chosen": ["a"], "rejected": ["b"]})
    datasets.DatasetDict(train=table, test=table).save_to_disk(str(tmp_path / "both"))
    with pytest.raises(FeedbackError, match=r"(?s)which holds test, train.*name one of them: .*both/test"):
        labels_of(tmp_path / "both")
    assert len(labels_of(tmp_path / "both" / "train")) == 1
    assert len(labels_of(table)) == 1
    (arrow,) = (tmp_path / "both" / "train").glob("*.arrow")
    arrow.write_bytes(b"no arrow")
    with pytest.raises(FeedbackError, match="can be read"):
        labels_of(tmp_path / "both" / "train")


# Of an option that TRL always sets, in words of transformers that are newer than it.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
def test_trl_trains_a_step_on_the_pairs(store: LabelStore, tmp_path: Path, pendulum: Asked) -> None:
    """A model with random weights, made here, whose loss is that of these pairs and their margins."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2ForSequenceClassification, PreTrainedTokenizerFast
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    rows = datasets.load_from_disk(str(export_labels(store, tmp_path / "pairs").path))
    words = sorted({*segment(pendulum, 0).split(), *segment(pendulum, 30).split()})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", model_max_length=512
    )
    size: dict[str, Any] = {"num_labels": 1, "n_positions": 512, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = GPT2ForSequenceClassification(
        GPT2Config(vocab_size=len(vocabulary), pad_token_id=0, bos_token_id=1, eos_token_id=1, **size)
    )
    before = model.score.weight.detach().clone()
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(
            output_dir=str(tmp_path / "trl"),
            max_steps=1,
            per_device_train_batch_size=2,
            learning_rate=0.1,
            report_to=[],
            use_cpu=True,
            bf16=False,
            save_strategy="no",
            disable_tqdm=True,
            max_length=512,
        ),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trained = trainer.train()
    # Two pairs of a model that tells nothing apart yet, margins 0 and 1.5.
    assert trained.training_loss == pytest.approx(np.mean([np.log(2), np.log1p(np.exp(1.5))]), abs=0.1)
    assert trained.global_step == 1
    assert not np.allclose(before.numpy(), model.score.weight.detach().numpy())
