"""``rmgym fit`` turns a label database into a model, and says how good it is."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.environments.collect import collect
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.models import load_reward_model
from rmgym.text import textualizer
from tests.feedback.asking import rate
from tests.models.tiny import save_causal

TINY = ["--model", "seq2seq"]
for option in ("vocab_size=512", "embedding_dim=16", "hidden_dim=16", "num_layers=1"):
    TINY += ["--model-option", option]


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    steps = collect("Pendulum-v1", 80, reset_every=4, progress=False)
    store = LabelStore(tmp_path_factory.mktemp("labels") / "labels.sqlite")
    queries = store.add_rating_queries(steps, textualizer("Pendulum-v1").batch(steps), np.arange(80))
    ratings = rate(ScriptedTeacher(target="reward"), steps).tolist()
    origin = {"annotator": "script", "source": "scripted:reward"}
    store.record([Answer(query=q, value=v, **origin) for q, v in zip(queries, ratings, strict=True)])
    store.record([Answer(query=q, value=3.0, annotator="bored", source="scripted:reward") for q in queries[:20]])
    return store.path


def run(*arguments):
    return CliRunner().invoke(app, ["fit", *map(str, arguments)])


def test_the_model_is_saved_with_its_scores(db, tmp_path):
    out = tmp_path / "model"
    result = run("--db", db, "--annotator", "script", *TINY, "--out", out, "--steps", 20, "--seed", 3, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["path"] == str(out)
    assert facts["metrics"]["steps"] == 20
    assert facts["metrics"]["train"]["labels"] == 72
    assert facts["metrics"]["validation"]["labels"] == 8
    assert facts["model"]["config"]["embedding_dim"] == 16
    assert facts["model"]["fitted_on"]["options"]["seed"] == 3
    assert facts["model"]["fitted_on"]["source"]["env_id"] == "Pendulum-v1"
    loaded = load_reward_model(out)
    assert loaded.digest == facts["model"]["digest"]
    assert loaded.card_hash == textualizer("Pendulum-v1").card_hash


def test_what_cleaning_sets_aside_is_shown_and_recorded_and_can_be_left_in(db, tmp_path):
    command = ["--db", db, *TINY, "--steps", 5, "--json", "--out"]
    cleaned, plain = run(*command, tmp_path / "cleaned"), run(*command, tmp_path / "plain", "--no-clean")
    assert "cleaning: 20 of 100 answers are set aside; all stay in the database" in cleaned.stderr
    assert "constant: 20 of bored: rated each step 3," in cleaned.stderr
    assert "cleaning" not in plain.stderr
    facts = json.loads(cleaned.stdout)
    assert facts["cleaning"]["set_aside"] == 20
    assert load_reward_model(tmp_path / "cleaned").fitted_on["source"]["cleaning"] == facts["cleaning"]
    assert json.loads(plain.stdout)["cleaning"] is None
    assert len(LabelStore(db).answers("bored")) == 20
    read = LabelStore(db).labels
    assert read("script").ratings.values.tolist() == read().ratings.values.tolist()
    assert read("script").ratings.values.tolist() != read(clean=False).ratings.values.tolist()


def test_any_language_model_of_a_folder_can_be_fitted(db, tmp_path):
    language_model = save_causal(tmp_path / "lm")
    small = ["--model-option", "width=16", "--model-option", "roles=8"]
    out = tmp_path / "model"
    result = run(
        "--db", db, "--annotator", "script", "--model", f"hf:{language_model}", *small, "--out", out, "--steps", 20
    )
    assert result.exit_code == 0, result.output
    loaded = load_reward_model(out)
    assert loaded.name == "hf"
    assert loaded.describe()["config"]["backbone"] == str(language_model)


def test_scores_are_shown_as_a_table(db, tmp_path):
    result = run("--db", db, "--annotator", "script", *TINY, "--out", tmp_path, "--steps", 20)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["fitted", "on", "held", "out"]
    assert lines[1].split() == ["labels", "72", "8"]
    assert [line.split()[0] for line in lines[2:5]] == ["R2", "Spearman", "RMS"]
    assert lines[5] == "20 steps, best at 20"
    assert "20/20" in result.stderr


def test_resume_returns_a_finished_model_and_refuses_another_fit(db, tmp_path):
    command = ["--db", db, "--annotator", "script", *TINY, "--out", tmp_path, "--json", "--steps", 10]
    first = json.loads(run(*command).stdout)
    again = json.loads(run(*command, "--resume").stdout)
    assert again == first
    other = run(*command, "--lr", 0.5, "--resume")
    assert other.exit_code == 2
    assert "learning_rate: None -> 0.5" in json.loads(other.stdout)["error"]["received"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--db", "no/such.sqlite"], "labels are read from a database"),
        (["--model-option", "heads"], "--model-option is key=value"),
        (["--model-option", "embeding_dim=8"], "did you mean 'embedding_dim'"),
        (["--preset", "smal"], "did you mean 'small'"),
        (["--loss", "hubber"], "did you mean 'huber'"),
        (["--validation", "1.5"], "validation is a share"),
        (["--annotator", "bored"], "all equal teach nothing"),
        (["--annotator", "nobody"], "no answers of annotator 'nobody'"),
    ],
)
def test_errors_are_sentences(db, tmp_path, arguments, message):
    result = run("--db", db, *TINY, "--out", tmp_path / "model", "--steps", 5, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (tmp_path / "model" / "reward_model.json").exists()


def test_an_empty_database_says_how_to_fill_it(tmp_path):
    (tmp_path / "empty.sqlite").touch()
    result = run("--db", tmp_path / "empty.sqlite", "--out", tmp_path / "model")
    assert result.exit_code == 2
    assert "rmgym label" in result.stderr
