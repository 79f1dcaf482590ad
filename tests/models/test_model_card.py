"""A shared model's card says where it comes from, loads it as it says, and nothing in it acts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

import rmgym
from rmgym.models.hub import push_to_hub
from rmgym.models.model_card import model_card

EVIL = "bob`<script>alert(1)</script>|\n# boo\x1b[31m"


class LocalHub:
    """The hub as a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        (self.folder / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, delete_patterns: str) -> Any:
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of Pendulum, on what a script and somebody with a name of his own have answered."""
    db = tmp_path_factory.mktemp("labels") / "labels.sqlite"
    steps = rmgym.collect("Pendulum-v1", 400, reset_every=20, progress=False)
    rmgym.label(steps, rmgym.ScriptedTeacher(), ratings=40, preferences=30, length=4, db=db, annotator="ann")
    store = rmgym.LabelStore(db)
    for question in list(store.pending(EVIL))[:3]:
        store.rate(question.id, 1.5, annotator=EVIL, source="scripted:reward")
    return rmgym.fit("no-lm", store, rmgym.FitOptions(max_steps=30), progress=False).model


def test_the_card_says_what_it_was_fitted_on_and_loads(fitted: Any, tmp_path: Path) -> None:
    push_to_hub(fitted, "somebody/pendulum", api=LocalHub(tmp_path))
    folder = tmp_path / "somebody" / "pendulum"
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "- Environment: `Pendulum-v1`" in text
    assert "- Labels: 40 ratings, 30 comparisons" in text
    assert "- Answers by `ann`: 70 as `scripted:reward`" in text
    rows = dict(re.findall(r"^\| ([\w² ]+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE))
    held_out = fitted.fitted_on["metrics"]["validation"]
    assert rows["labels"] == str(held_out["labels"])
    assert rows["R²"] == f"{held_out['r2']:.3f}"
    assert rows["pairs in order"] == f"{held_out['accuracy']:.3f}"
    assert f"rmgym {rmgym.__version__}" in text
    assert fitted.digest in text
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = dict[str, Any]()
    exec(block.replace("somebody/pendulum", str(folder)), names)
    names["env"].reset(seed=0)
    assert "learned_reward" in names["env"].step(names["env"].action_space.sample())[4]
    assert names["model"].digest == fitted.digest


def test_foreign_names_do_not_act(fitted: Any) -> None:
    text = model_card(fitted, "somebody/pendulum")
    prose = text.partition("```json")[0]
    assert "- Answers by `bob'<script>alert(1)</script>¦ # boo\\x1b[31m`: 3 as `scripted:reward`" in prose
    outside_of_code = re.sub(r"`[^`\n]*`", "", prose)
    assert "<script>" not in outside_of_code
    assert "\x1b" not in text
    data = ModelCard(text).data.to_dict()
    assert data["library_name"] == "rmgym"
    assert "base_model" not in data


def test_what_was_set_aside_is_credited_to_nobody_and_accounted_for(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 40, reset_every=20, progress=False)
    store, texts = rmgym.LabelStore(tmp_path / "labels.sqlite"), rmgym.textualizer("Pendulum-v1").batch(steps)
    for who, pair in (("ann", [20, 30]), ("ann", [3, 4]), (EVIL, [0, 10]), (EVIL, [10, 0])):
        (query,) = store.add_preference_queries(steps, texts, np.array([pair]), 1)
        store.prefer(query, 1.0, annotator=who, source="human")
    model = rmgym.fit("no-lm", store, rmgym.FitOptions(max_steps=2, validation=0.0), progress=False).model
    prose = model_card(model, "somebody/pendulum").partition("```json")[0]
    assert [line for line in prose.splitlines() if line.startswith("- Answers by")] == [
        "- Answers by `ann`: 2 as `human`"
    ]
    (line,) = (line for line in prose.splitlines() if line.startswith("- Set aside"))
    assert line.startswith("- Set aside as `contradiction`: 2 answers of `bob'<script>alert(1)</script>¦ # boo")
    assert "opposite choices none" in line


def test_the_weights_below_are_named_with_their_licence() -> None:
    model = rmgym.create_reward_model("minilm", seed=0, heads=1, width=8, roles=4)
    text = model_card(model, "somebody/new")
    assert ModelCard(text).data.to_dict()["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "Language model: `sentence-transformers/all-MiniLM-L6-v2`, licence apache-2.0" in text
    assert "- Nothing: its weights, if it has any, are those that it was made with." in text
    assert "Nobody knows." in text


def test_permuted_labels_and_tables_are_told() -> None:
    pairs = {"chosen": [f"at {t} degrees" for t in range(20)], "rejected": [f"at {t + 9} degrees" for t in range(20)]}
    how = rmgym.FitOptions(max_steps=5, shuffle_labels=True)
    text = model_card(rmgym.fit("no-lm", pairs, how, progress=False).model, "somebody/shuffled")
    assert "**The labels were permuted**" in text
    assert "- They came as `table` `the table`" in text
    assert "- Labels: 0 ratings, 20 comparisons" in text
