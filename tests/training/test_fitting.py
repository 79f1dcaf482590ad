import gc
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rmgym.errors import FeedbackError, FitError, JobError, ModelError, StorageError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.models import create_reward_model
from rmgym.models.files import read_files
from rmgym.models.no_language_model import NoLanguageModel
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.training.dataset import LabelData, split_groups
from rmgym.training.objective import Objective, rewards_of
from rmgym.training.trainer import BETA_LEARNING_RATE, RewardTrainer, best_look, set_apart
from rmgym.training.units import robust_units
from tests.disks import small_disk
from tests.training.small import SmallReward, both, make_preferences, make_ratings, make_texts, true_reward

FAST = FitOptions(max_steps=150, batch_size=16, learning_rate=3e-2, eval_every=50)
BRIEF = FitOptions(max_steps=20, eval_every=10, checkpoint_every=10)


def correlation(model: SmallReward) -> float:
    unseen = make_texts(500, seed=99)
    return float(np.corrcoef(model.predict(unseen).mean, true_reward(unseen))[0, 1])


def test_ratings_are_learned_in_their_own_units() -> None:
    model = SmallReward.create(dropout=0.0)
    labels = make_ratings(200)
    result = fit(model, labels, FAST, progress=False)
    assert result.model is model
    assert not model.training
    unseen = make_texts(500, seed=99)
    prediction = model.predict(unseen)
    error = prediction.mean - true_reward(unseen)
    assert np.mean(error**2) < 0.1 * np.var(true_reward(unseen))
    validation = result.metrics["validation"]
    assert validation["labels"] == 20
    assert result.metrics["train"]["labels"] == 180
    assert validation["r2"] > 0.9
    assert validation["spearman"] > 0.9
    assert prediction.std == pytest.approx(validation["rmse"], rel=1e-5)
    assert result.metrics["steps"] == 150
    assert not result.metrics["stopped_early"]


def test_products_in_bfloat16_teach_nearly_the_same_and_leave_float32_weights() -> None:
    def fitted(precision: Any) -> Any:
        options = FitOptions(max_steps=150, validation=0, precision=precision)
        return fit(SmallReward.create(dropout=0.0), make_ratings(200), options, progress=False).model

    exact, coarse = fitted("float32"), fitted("bfloat16")
    texts = make_texts(100, seed=1)
    a, b = exact.predict(texts).mean, coarse.predict(texts).mean
    assert np.abs(a - b).max() > 0
    assert np.corrcoef(a, b)[0, 1] > 0.99
    assert {p.dtype for p in coarse.parameters()} == {torch.float32}


def test_offset_and_scale_come_from_the_training_part_alone() -> None:
    labels = make_ratings(60)
    model = SmallReward.create()
    fit(model, labels, BRIEF, progress=False)
    assert labels.ratings is not None
    values = labels.ratings.values[split_groups(labels.ratings.groups, 0.1, 0)[0]]
    assert len(values) == 54
    offset, scale = robust_units(values.astype(np.float64))
    assert model.offset.item() == pytest.approx(offset, rel=1e-6)
    assert model.scale.item() == pytest.approx(scale, rel=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
def test_preferences_alone_give_mean_zero_and_variance_one_on_the_training_steps(heads: int) -> None:
    model = SmallReward.create(dropout=0.0, heads=heads)
    labels = make_preferences(200, lengths=(2,))
    result = fit(model, labels, replace(FAST, validation=0), progress=False)
    rewards = model.predict(labels.texts).mean
    assert rewards.mean() == pytest.approx(0, abs=1e-4)
    assert rewards.std() == pytest.approx(1, abs=1e-4)
    assert correlation(model) > 0.85
    assert result.metrics["train"]["accuracy"] > 0.95
    assert (model.predict(labels.texts).std == 0).all() == (heads == 1)


def test_where_heads_disagree_is_in_the_units_of_the_compared_rewards() -> None:
    """Without ratings, what heads give is of any size: believing in little where they differ by as much as rewards."""
    model = SmallReward.create(dropout=0.0, heads=3)
    labels = make_preferences(100, lengths=(2,))
    fit(model, labels, replace(FAST, validation=0), progress=False)
    raw = rewards_of(model, LabelData.of(labels, offset=0, scale=1), np.arange(len(labels.texts)))
    assert float(model.spread) == pytest.approx(float(raw.mean(1).std(correction=0)), rel=1e-5)
    apart = raw.std(1) / (3 * model.spread)
    expected = raw.mean(1) / (1 + apart**2) * model.scale + model.offset
    assert model.predict(labels.texts).mean == pytest.approx(expected.numpy(), abs=1e-4)


def test_what_is_held_out_is_new_to_the_model() -> None:
    texts = TextBatch(
        templates=("the {:s}: {:.1f}",),
        template_index=np.zeros(60, np.int32),
        numbers=np.arange(60) / 10,
        offsets=np.arange(61),
        phrases=tuple(f"thing {i // 3}" for i in range(0, 60, 3)),
        words=np.repeat(np.arange(20), 3).astype(np.int32),
    )
    ratings = Ratings(texts=texts, values=np.arange(60, dtype=np.float32), groups=np.repeat(np.arange(20), 3))
    model = create_reward_model("no-lm", width=8, roles=4)
    assert isinstance(model, NoLanguageModel)
    fit(model, Labels(ratings=ratings), replace(BRIEF, validation=0.2), progress=False)
    held_out = split_groups(ratings.groups, 0.2, BRIEF.seed)[1]
    new = {f"thing {i // 3}" for i in held_out.tolist()}
    assert len(new) == 4
    assert {p for p, is_new in zip(texts.phrases, model.reader.are_new(texts.phrases), strict=True) if is_new} == new


def test_heads_on_preferences_agree_about_the_mean() -> None:
    model = SmallReward.create(dropout=0.0, heads=3)
    labels = make_preferences(100, lengths=(2,))
    fit(model, labels, replace(FAST, validation=0), progress=False)
    with torch.no_grad():
        means = model(LabelData.of(labels, offset=0, scale=1).encoded).mean(0)
    assert float(means.abs().max() * model.scale) < 0.5


def test_beside_ratings_preferences_add_knowledge_in_the_units_of_the_ratings() -> None:
    few, pairs = make_ratings(12), make_preferences(150, lengths=(2,))
    alone, together = SmallReward.create(dropout=0.0), SmallReward.create(dropout=0.0)
    fit(alone, few, FAST, progress=False)
    fit(together, both(few, pairs), replace(FAST, validation=0), progress=False)
    assert correlation(together) > max(correlation(alone), 0.9)
    unseen = make_texts(500, seed=99)
    assert together.predict(unseen).mean.mean() == pytest.approx(true_reward(unseen).mean(), abs=1.5)


def test_a_random_part_of_each_segment_is_enough_to_learn() -> None:
    model = SmallReward.create(dropout=0.0)
    fit(model, make_preferences(200, lengths=(6,)), replace(FAST, steps_per_segment=2), progress=False)
    assert correlation(model) > 0.6


def test_shuffled_labels_teach_nothing() -> None:
    model = SmallReward.create(dropout=0.0)
    result = fit(model, make_ratings(200), replace(FAST, shuffle_labels=True), progress=False)
    assert abs(correlation(model)) < 0.4
    assert result.metrics["validation"]["r2"] < 0.2
    assert model.fitted_on["options"]["shuffle_labels"] is True


@pytest.mark.parametrize("kind", ["huber", "mse"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(kind: Any) -> None:
    options = replace(BRIEF, loss=kind)
    digests = [
        fit(SmallReward.create(), make_ratings(40), replace(options, seed=seed), progress=False).model.digest
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def random_state() -> list[Any]:
    legacy = np.random.get_state(legacy=False)
    assert isinstance(legacy, dict)
    return [random.getstate(), legacy["state"]["key"].tobytes(), legacy["state"]["pos"], torch.get_rng_state().tolist()]


def test_fitting_leaves_everybodys_random_state_alone(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    before = random_state()
    first = fit(SmallReward.create(), make_ratings(40), BRIEF, out=tmp_path / "model", progress=False)
    assert random_state() == before
    with pytest.raises(JobError, match=r"options\.seed: 0 -> 5"):
        fit(SmallReward.create(), make_ratings(40), replace(BRIEF, seed=5), out=tmp_path / "model", resume=True)
    assert random_state() == before
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    assert fit(SmallReward.create(), make_ratings(40), BRIEF, progress=False).model.digest == first.model.digest


def test_the_best_weights_are_kept_and_patience_ends_the_run() -> None:
    options = FitOptions(max_steps=120, learning_rate=2e-2, eval_every=10, patience=3, shuffle_labels=True)
    result = fit(SmallReward.create(dropout=0.0), make_ratings(100), options, progress=False)
    metrics = result.metrics
    assert metrics["stopped_early"]
    assert metrics["steps"] == metrics["best_step"] + 30
    patient = replace(options, patience=None)
    whole = fit(SmallReward.create(dropout=0.0), make_ratings(100), patient, progress=False).metrics
    assert whole["steps"] == 120
    assert whole["validation"]["loss"] <= metrics["validation"]["loss"]


def test_the_best_look_is_the_first_smallest_and_never_nan() -> None:
    log = [
        {"loss": 0.1, "step": 5},
        {"eval_loss": float("nan"), "step": 10},
        {"eval_loss": 0.5, "step": 20},
        {"eval_loss": 0.4, "step": 30},
        {"eval_loss": 0.4, "step": 40},
    ]
    assert best_look(log)["step"] == 30


@pytest.mark.parametrize(
    ("labels", "options", "note"),
    [
        (make_ratings(100), FitOptions(validation=0), "as asked"),
        (make_ratings(20), FitOptions(), "2 of 20 labels"),
        (make_ratings(100, episode=50), FitOptions(), "0 of 100 labels"),
    ],
)
def test_where_nothing_can_be_held_out_all_labels_are_used_and_the_metrics_say_so(
    labels: Labels, options: FitOptions, note: str
) -> None:
    result = fit(SmallReward.create(), labels, replace(options, max_steps=5), progress=False)
    assert result.metrics["validation"] is None
    assert note in result.metrics["note"]
    assert result.metrics["train"]["labels"] == len(labels)
    assert (result.model.predict(make_texts(3)).std == 0).all()


def test_a_text_that_was_rated_often_is_not_recognised_when_it_is_held_out() -> None:
    """Noise that six people agree on is noise still: nothing can be known of a text that was never seen."""
    texts = make_texts(20)[np.tile(np.arange(20), 6)]
    values = np.tile(np.random.default_rng(0).normal(size=20), 6).astype(np.float32)
    labels = Labels(ratings=Ratings(texts=texts, values=values, groups=np.arange(120)))
    options = FitOptions(max_steps=300, patience=None, validation=0.2, learning_rate=1e-2)
    metrics = fit(SmallReward.create(seed=0, dropout=0.0, width=64), labels, options, progress=False).metrics
    assert metrics["validation"]["labels"] == 24
    assert metrics["validation"]["r2"] < 0 < metrics["train"]["r2"]


def test_a_rest_of_equal_ratings_is_not_left_alone() -> None:
    values = np.array([1.0] * 95 + [2.0] * 5, np.float32)
    groups = np.array(list(range(95)) + [95] * 5)
    labels = Labels(ratings=Ratings(texts=make_texts(100), values=values, groups=groups))
    seed = next(seed for seed in range(99) if 99 in split_groups(groups, 0.05, seed)[1])  # all twos are held out
    result = fit(SmallReward.create(), labels, FitOptions(max_steps=1, validation=0.05, seed=seed), progress=False)
    assert "all equal" in result.metrics["note"]
    assert result.model.scale.item() == pytest.approx(values.std())


def constant(labels: Labels, value: float) -> Labels:
    ratings, preferences = labels.ratings, labels.preferences
    if ratings is not None:
        ratings = replace(ratings, values=np.full_like(ratings.values, value))
    if preferences is not None:
        preferences = replace(preferences, choice=np.full_like(preferences.choice, value))
    return replace(labels, ratings=ratings, preferences=preferences)


@pytest.mark.parametrize(
    ("labels", "rule", "fix"),
    [
        (Labels(), "at least two labels", "rmgym label"),
        (make_ratings(1), "at least two labels", "rmgym label"),
        (constant(make_ratings(30), 1.0), "all equal", "--target outcome"),
        (constant(make_preferences(30), 0.5), "all ties", "--target outcome"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labels: Labels, rule: str, fix: str) -> None:
    with pytest.raises(FeedbackError, match=rule) as error:
        fit(SmallReward.create(), labels, progress=False)
    assert fix in error.value.fix


def test_ties_beside_ratings_are_knowledge() -> None:
    labels = both(make_ratings(20), constant(make_preferences(20), 0.5))
    assert fit(SmallReward.create(), labels, BRIEF, progress=False).metrics["train"]["accuracy"] is None


@pytest.mark.parametrize("name", ["random", "constant", "true"])
def test_controls_are_not_fitted(name: str) -> None:
    with pytest.raises(FitError, match="has weights"):
        fit(name, make_ratings(20), progress=False)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'minilm'"):
        fit("minilmm", make_ratings(20), progress=False)


def test_a_run_that_diverges_says_so() -> None:
    options = FitOptions(max_steps=20, learning_rate=1e30, warmup_ratio=0, loss="mse")
    with pytest.raises(FitError, match="converges") as error:
        fit(SmallReward.create(), make_ratings(40), options, progress=False)
    assert "learning_rate" in error.value.fix


def test_a_finished_fit_leaves_the_model_and_its_record(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "model"
    result = fit(SmallReward.create(), make_ratings(60), BRIEF, out=out, progress=False)
    assert result.path == out
    names = sorted(path.name for path in out.iterdir())
    assert names[:2] == ["fit.json", "reward_model.json"]
    assert len(names) == 3
    assert names[2].endswith(".safetensors")
    loaded = SmallReward.restore(*read_files(out))
    unseen = make_texts(50, seed=5)
    assert np.array_equal(loaded.predict(unseen).mean, result.model.predict(unseen).mean)
    assert np.array_equal(loaded.predict(unseen).std, result.model.predict(unseen).std)
    assert loaded.card_hash == "cafe" == result.model.card_hash
    assert loaded.fitted_on["ratings"] == 60
    assert loaded.fitted_on["preferences"] == 0
    assert loaded.fitted_on["metrics"] == result.metrics
    record = json.loads((out / "fit.json").read_text())
    assert record["status"] == "done"
    assert record["result"]["metrics"] == result.metrics
    assert record["result"]["digest"] == result.model.digest
    assert [row["step"] for row in record["result"]["history"] if "eval_loss" in row] == [10, 20]


@pytest.mark.parametrize("left", [0, 4_096, 32_768, None])
def test_where_nothing_can_be_written_a_finished_model_and_its_record_stay(tmp_path: Path, left: int | None) -> None:
    with small_disk(tmp_path / "disk", 1024) as disk:
        out = disk.folder / "model"
        fit(SmallReward.create(), make_ratings(60), BRIEF, out=out, progress=False)
        before = disk.content()
        if left is None:
            disk.read_only()
        else:
            disk.fill(but=left)
        for _ in range(2):
            with pytest.raises(StorageError, match="enough space"):
                fit(SmallReward.create(seed=1), make_ratings(60), BRIEF, out=out, overwrite=True, progress=False)
            after = disk.content()
            assert {name: after[name] for name in before} == before
            assert not list(out.rglob("*.partial")), "what is half written takes no space"
        if left is not None:
            disk.free()
            begun = (out / "fit.next.json").exists()
            second = SmallReward.create(seed=1), make_ratings(60), BRIEF
            again = fit(*second, out=out, resume=begun, overwrite=not begun, progress=False)
            assert json.loads((out / "fit.json").read_text())["result"]["digest"] == again.model.digest
            assert sorted(path.name for path in out.iterdir())[:2] == ["fit.json", "reward_model.json"]


def test_resuming_a_finished_fit_returns_it_untouched(tmp_path: Path) -> None:
    first = fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, progress=False)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, resume=True, progress=False)
    assert again.model.digest == first.model.digest
    assert again.metrics == first.metrics
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("damage", ["other", "missing"])
def test_a_finished_fit_whose_model_was_exchanged_is_not_passed_off_as_it(tmp_path: Path, damage: str) -> None:
    fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, progress=False)
    if damage == "other":
        SmallReward.create(seed=9).save(tmp_path)
    else:
        (tmp_path / "reward_model.json").unlink()
    with pytest.raises(FitError, match="the folder of a finished fit holds the model that it gave") as error:
        fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, resume=True, progress=False)
    assert "remove the folder" in error.value.fix


def test_resuming_where_nothing_was_begun_begins(tmp_path: Path) -> None:
    plain = fit(SmallReward.create(), make_ratings(60), BRIEF, progress=False)
    resumed = fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path / "new", resume=True, progress=False)
    assert resumed.model.digest == plain.model.digest


@pytest.mark.parametrize(
    ("seed", "labels", "options", "changed"),
    [
        (0, make_ratings(60), replace(BRIEF, learning_rate=0.5), "learning_rate: None -> 0.5"),
        (0, make_ratings(60), replace(BRIEF, max_steps=30), "max_steps: 20 -> 30"),
        (0, make_ratings(60, seed=1), BRIEF, "labels: "),
        (1, make_ratings(60), BRIEF, "model: 'small "),
    ],
)
def test_resuming_something_else_is_refused_and_says_what_changed(
    tmp_path: Path, seed: int, labels: Labels, options: FitOptions, changed: str
) -> None:
    fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, progress=False)
    with pytest.raises(JobError) as error:
        fit(SmallReward.create(seed=seed), labels, options, out=tmp_path, resume=True, progress=False)
    assert changed in str(error.value.got)
    assert "pass overwrite=True" in error.value.fix
    fitted = fit(SmallReward.create(seed=seed), labels, options, out=tmp_path, overwrite=True, progress=False)
    assert SmallReward.restore(*read_files(tmp_path)).digest == fitted.model.digest


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    first = fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path / "fit", progress=False)
    SmallReward.create(seed=9).save(tmp_path / "saved")
    for folder in ("fit", "saved"):
        before = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        with pytest.raises(JobError, match="a fit has a folder of its own") as error:
            fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path / folder, progress=False)
        assert "overwrite=True" in error.value.fix
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).glob("[!.]*")} == before
        anew = fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path / folder, overwrite=True, progress=False)
        assert anew.model.digest == first.model.digest
    with pytest.raises(FitError, match="goes on or begins anew"):
        fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, resume=True, overwrite=True)


def test_a_result_prints_as_a_line(tmp_path: Path) -> None:
    result = fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path / "model", progress=False)
    r2 = result.metrics["train"]["r2"], result.metrics["validation"]["r2"]
    scores = f"fitted on 54 labels (R2 {r2[0]:.3f}), held out 6 labels (R2 {r2[1]:.3f})"
    assert str(result) == f"FitResult(small, {scores}, {tmp_path / 'model'})"
    alone = fit(SmallReward.create(), make_ratings(60), replace(BRIEF, validation=0), progress=False)
    assert str(alone).endswith("), not saved)")


def test_resume_needs_a_folder_and_a_readable_record(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="resumed from its folder"):
        fit(SmallReward.create(), make_ratings(60), BRIEF, resume=True, progress=False)
    (tmp_path / "fit.json").write_text("{")
    with pytest.raises(JobError, match=r"fit\.json is the record"):
        fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path, resume=True, progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="writable folder"):
        fit(SmallReward.create(), make_ratings(60), BRIEF, out=tmp_path / "file" / "model", progress=False)


def test_a_language_model_has_a_learning_rate_of_its_own(tmp_path: Path) -> None:
    class WithTower(SmallReward):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.tower = torch.nn.Linear(2, 2)
            self.tower.lora_A = torch.nn.Linear(2, 2, bias=False)

    labels = both(make_ratings(20), make_preferences(20))
    objective = Objective(WithTower.create())
    objective.model.words.requires_grad_(False)
    trainer = RewardTrainer(
        objective,
        LabelData.of(labels, offset=0, scale=1),
        np.arange(40),
        np.arange(0),
        FitOptions(learning_rate=1e-3, lm_learning_rate=1e-5, weight_decay=0.1).settled(objective.model, 40),
        folder=tmp_path,
        checkpoints=False,
    )
    groups = {(g["lr"], g["weight_decay"]): len(g["params"]) for g in trainer.create_optimizer().param_groups}
    heads, tower = {(1e-3, 0.1): 2, (1e-3, 0.0): 2}, {(1e-5, 0.1): 1, (1e-5, 0.0): 1}
    lora = {(1e-4, 0.1): 1}
    assert groups == {**heads, **tower, **lora, (BETA_LEARNING_RATE, 0.0): 1}


def test_progress_is_shown_on_standard_error_and_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    fit(SmallReward.create(), make_ratings(60), BRIEF, progress=False)
    silent = capsys.readouterr()
    assert silent.out == silent.err == ""
    fit(SmallReward.create(), make_ratings(60), BRIEF)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "fit small" in shown.err
    assert "20/20" in shown.err
    assert "held-out R2" in shown.err


def test_a_model_is_created_by_name(tmp_path: Path) -> None:
    options = FitOptions(max_steps=3, batch_size=4, seed=4)
    result = fit("seq2seq", make_ratings(12), options, progress=False)
    made = create_reward_model("seq2seq", seed=4)
    assert result.model.name == "seq2seq"
    assert fit(made, make_ratings(12), options, progress=False).model.digest == result.model.digest  # type: ignore[arg-type]


def test_a_fit_leaves_the_collector_as_it_was() -> None:
    newer = [[] for _ in range(100_000)]  # type: list[list[int]]
    with set_apart():
        frozen = gc.get_freeze_count()
        assert frozen > len(newer)
        later = [[] for _ in range(100_000)]  # type: list[list[int]]
        with set_apart():  # of what is frozen some may die at any moment: the count falls by itself, and never rises
            assert 0 < gc.get_freeze_count() <= frozen
        assert 0 < gc.get_freeze_count() <= frozen, "what somebody else froze stays frozen"
        assert len(later) == len(newer)
    assert gc.get_freeze_count() == 0
