"""What does a language model add to a reward? Words that were never labelled.

Five settings: synonyms in a made-up room, BabyAI missions with other colours and things, the cards of LunarLander and
Taxi in other words, free texts in other wording (English, and Chinese beside it). Models are fitted on 50 to 300 exact
ratings in some words, and tested on unseen steps in those (``seen``) and in words never labelled (``unseen``;
LunarLander's also with its fields the other way round):

- ``minilm`` and ``smollm2``, frozen, five binding heads each;
- ``no-lm``: the same heads on hashed words and one code per slot, without a language model;
- ``minilm`` and ``no-lm`` with paraphrases: the labelled steps again in further words, none of them the test's;
- ``minilm`` tuned with LoRA, and whole.

    python benchmarks/language.py            # --dry-run counts the cells and minutes

MiniLM has no words for Chinese characters and refuses such texts: its cells there say ``refused``. Reductions: tuned
models at 200 ratings alone, for TUNED_STEPS steps, as every step runs the language model, and not on BabyAI, of which a
batch holds dozens of long templates (a cell took more than ten minutes); the others for STEPS, of them
minilm and no-lm at 50, 100, 200 and 300 ratings, the rest at 50 and 200.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from common import (
    JUDGE,
    STOPPED,
    Cell,
    arguments,
    claim,
    finished,
    judge_again,
    report_minutes,
    run_cells,
    write_results,
)
from wordings import SETTINGS, Setting, Wording

from rmgym.errors import ModelError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.metrics import r_squared
from rmgym.metrics.ranking import spearman
from rmgym.models import create_reward_model
from rmgym.models.neural import NeuralRewardModel
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit

LABELS = (200, 50, 300, 100)
"""What the claims are about comes first."""
STEPS, TUNED_STEPS = 600, 100
CHINESE, ROOM, BABYAI = "free text, Chinese", "synonyms in a room", "BabyAI missions"
SYNONYMS, ADDED, SETTINGS_ASKED = 0.75, 0.2, 3


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model.

    Attributes:
        model: its name.
        seconds: of one core that a cell of it takes, about.
        labels: numbers of ratings at which it is fitted.
        options: of the model.
        paraphrases: whether the labelled steps are in its training in further words too.
        control: the arm without a language model that it is compared with.
    """

    model: str
    seconds: float
    labels: tuple[int, ...] = (200, 50)
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    paraphrases: bool = False
    control: str = "no-lm"

    @property
    def is_tuned(self) -> bool:
        """Whether its language model is."""
        return "tune" in self.options


ARMS = {
    "minilm": Arm(model="minilm", seconds=13, labels=LABELS),
    "no-lm": Arm(model="no-lm", seconds=12, labels=LABELS),
    "smollm2": Arm(model="smollm2", seconds=15),
    "minilm, paraphrases": Arm(model="minilm", seconds=13, paraphrases=True, control="no-lm, paraphrases"),
    "no-lm, paraphrases": Arm(model="no-lm", seconds=12, paraphrases=True, control="no-lm, paraphrases"),
    "minilm, LoRA": Arm(model="minilm", seconds=65, labels=(200,), options={"tune": "lora"}),
    "minilm, tuned whole": Arm(model="minilm", seconds=75, labels=(200,), options={"tune": "whole"}),
}


def measure(cell: Cell) -> Cell:
    """Fit one model on one set of ratings; test it in seen and in unseen words."""
    torch.set_num_threads(1)
    arm, seed = ARMS[cell["arm"]], cell["seed"]
    setting = _setting(cell["setting"], seed)
    model = create_reward_model(arm.model, seed=seed, **arm.options)
    assert isinstance(model, NeuralRewardModel)
    steps = (TUNED_STEPS if arm.is_tuned else STEPS) // cell["share"]
    start = time.process_time()
    labels = Labels(ratings=rated(setting, cell["labels"], paraphrases=arm.paraphrases))
    try:
        fit(model, labels, FitOptions(max_steps=steps, validation=0, seed=seed), progress=False)
    except ModelError as error:
        return {"refused": str(error)}
    seconds = time.process_time() - start
    tests = {name: _tested(model, wording) for name, wording in setting.tests.items()}
    return {"fit_steps": steps, "fit_seconds": round(seconds, 1), "tests": tests}


@lru_cache(maxsize=2)  # cells of one setting and seed follow each other
def _setting(name: str, seed: int) -> Setting:
    return SETTINGS[name](seed)


def rated(setting: Setting, labels: int, *, paraphrases: bool) -> Ratings:
    """The first ratings of a setting; with paraphrases the same ones again, each in further words."""
    wordings = [setting.labelled[:labels]]
    wordings += [wording[:labels] for wording in setting.paraphrases if paraphrases]
    return Ratings(
        texts=TextBatch.concatenate(wording.texts for wording in wordings),
        values=np.concatenate([wording.values for wording in wordings]),
        groups=np.tile(np.arange(labels), len(wordings)),
    )


def _tested(model: NeuralRewardModel, wording: Wording) -> dict[str, float]:
    predicted = model.predict(wording.texts)
    return {
        "r2": r_squared(predicted.mean, wording.values),
        "spearman": spearman(predicted.mean, wording.values),
        "within2": float((abs(predicted.mean - wording.values) <= 2 * predicted.std).mean()),
    }


def grid(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """All cells, what the claims are about first."""
    share = 10 if quick else 1
    return [
        {"setting": setting, "labels": labels, "arm": arm, "seed": seed, "share": share}
        for labels in (LABELS[:1] if quick else LABELS)
        for tuned in (False, True)
        for seed in seeds
        for setting in ([ROOM] if quick else SETTINGS)
        for arm in ARMS
        if ARMS[arm].is_tuned == tuned and labels in ARMS[arm].labels and not (tuned and setting == BABYAI)
    ]


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What the cells at 200 ratings say about words never labelled."""
    unseen = {
        (setting, arm): score
        for setting in SETTINGS
        for arm in ARMS
        if math.isfinite(score := mean_unseen(cells, setting, arm, LABELS[0]))
    }
    added = {
        (setting, arm): score - unseen[setting, ARMS[arm].control]
        for (setting, arm), score in unseen.items()
        if (setting, ARMS[arm].control) in unseen and ARMS[arm].model != "no-lm"
    }
    judged = list[dict[str, Any]]()
    at = f"at {LABELS[0]} ratings"
    in_room = {arm: score for (setting, arm), score in unseen.items() if setting == ROOM and ARMS[arm].model != "no-lm"}
    if in_room:
        best = max(in_room, key=lambda arm: in_room[arm])
        for name, arm in {"synonyms-best": best, "synonyms-default": "minilm"}.items():
            if arm in in_room:
                statement = f"{ROOM}, {at}: Spearman on synonyms never labelled, {arm}"
                judged.append(claim(name, statement, in_room[arm], bound=SYNONYMS, holds=in_room[arm] >= SYNONYMS))
    for setting in SETTINGS:
        gains = {arm: gain for (place, arm), gain in added.items() if place == setting}
        if gains:
            best = max(gains, key=lambda arm: gains[arm])
            statement = (
                f"{setting}, {at}: Spearman in unseen words of {best} less that of {ARMS[best].control}, the largest "
                "such gain of a language model"
            )
            judged.append(claim(f"added-{setting}", statement, gains[best], bound=ADDED, holds=gains[best] >= ADDED))
    for name, arms in {"best": set(ARMS), "default": {"minilm"}}.items():
        who = "the frozen default" if name == "default" else "the arm that gains most there"
        gained = {s for (s, arm), gain in added.items() if arm in arms and gain >= ADDED and s != CHINESE}
        statement = f"settings of five, {at}, where {who} is {ADDED} of Spearman above its control without one"
        holds = len(gained) >= SETTINGS_ASKED
        judged.append(claim(f"settings-{name}", statement, len(gained), bound=SETTINGS_ASKED, holds=holds))
    return judged


def mean_unseen(cells: Sequence[Cell], setting: str, arm: str, labels: int) -> float:
    """Mean over seeds of Spearman in unseen words; 0 where all predictions are equal, NaN where nothing is measured."""
    here = [c for c in cells if (c["setting"], c["arm"], c["labels"]) == (setting, arm, labels) and "tests" in c]
    return float(np.mean([c["tests"]["unseen"]["spearman"] or 0.0 for c in here])) if here else math.nan


def main() -> None:
    """Run every cell."""
    options = arguments(__doc__, flags=JUDGE | STOPPED)
    cells = grid(options.seeds, quick=options.quick)
    if options.dry_run:
        report_minutes({arm: [ARMS[arm].seconds for c in cells if c["arm"] == arm] for arm in ARMS})
        return
    if options.judge:
        judge_again(options.out, claims(json.loads(options.out.read_text(encoding="utf-8"))["cells"]))
        return
    done = (finished if options.finished else run_cells)(cells, measure, options.runs)
    reductions = (
        f"tuned models at 200 ratings alone and for {TUNED_STEPS} steps, the others for {STEPS}; smollm2 and "
        "paraphrases at 50 and 200 ratings; paraphrases are one further wording of each text (two in the room)"
    )
    write_results(options.out, done, claims(done), options.seeds, reductions=reductions)


if __name__ == "__main__":
    main()
