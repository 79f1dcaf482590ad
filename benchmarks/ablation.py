"""What each part of the binding heads is good for: minilm with one part taken out at a time.

Fitted and tested as in heads.py, at 50 and 300 exact ratings on three environments, three seeds:

- ``as shipped``: five heads, each without a tenth of the labels;
- ``one head``; ``all labels for each head``;
- ``the heads' plain mean``: not drawn to the labels' mean where heads disagree;
- ``roles that learn``; ``no linear skip``;
- ``nothing in common``: roles of numbers that nearly add up to nothing, as vectors of mean 0 do;
- ``slots not told apart``: states of slots as they are, not most of the way to whitening;
- ``states alone``: the language model's, without hashed words; ``words alone``: the other way round.

    python benchmarks/ablation.py            # --dry-run counts the cells and minutes
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from common import STOPPED, Cell, arguments, claim, finished, report_minutes, run_cells, write_results
from rated_steps import labelled

from rmgym.feedback.labels import Labels, Ratings
from rmgym.metrics import r_squared
from rmgym.metrics.ranking import spearman
from rmgym.models import create_reward_model
from rmgym.models.heads import BindingHeads
from rmgym.models.language_model import LanguageModelReward
from rmgym.training import FitOptions, fit

STEPS, SECONDS = 1000, 14
LABELS = (50, 300)
ENVIRONMENTS = ("Pendulum-v1", "LunarLander-v3", "MiniGrid-DoorKey-5x5-v0")
SHIPPED, MARGIN = "as shipped", 0.02
LATE, NEURAL, BINDING = "rmgym.models.readers.late", "rmgym.models.neural", "rmgym.models.heads.binding"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a model differs from the shipped one.

    Attributes:
        options: of the model.
        leave_out: see :class:`rmgym.FitOptions`.
        learn: parameters of the heads that learn, or do not.
        patches: names in rmgym, and what stands there instead.
    """

    options: Mapping[str, object] = field(default_factory=dict[str, object])
    leave_out: float | None = None
    learn: Mapping[str, bool] = field(default_factory=dict[str, bool])
    patches: Mapping[str, object] = field(default_factory=dict[str, object])


def _as_they_are(states: torch.Tensor) -> torch.Tensor:
    return torch.eye(states.shape[1]).to(states)


VARIANTS = {
    SHIPPED: Variant(),
    "one head": Variant(options={"heads": 1}),
    "all labels for each head": Variant(leave_out=0.0),
    "the heads' plain mean": Variant(patches={f"{NEURAL}.PRIOR": math.inf}),
    "roles that learn": Variant(learn={"role.weight": True, "role.bias": True}),
    "no linear skip": Variant(learn={"linear": False, "linear_phrases": False}),
    "nothing in common": Variant(patches={f"{BINDING}.COMMON": 0.0}),
    "slots not told apart": Variant(patches={f"{LATE}.decorrelation": _as_they_are}),
    "states alone": Variant(patches={f"{LATE}.LM_SHARE": (1.0,) * 4}),
    "words alone": Variant(patches={f"{LATE}.LM_SHARE": (0.0,) * 4}),
}


def measure(cell: Cell) -> Cell:
    """Fit one model and test it."""
    torch.set_num_threads(1)
    variant, seed = VARIANTS[cell["variant"]], cell["seed"]
    chosen, test = labelled(cell["env"], seed, cell["labels"], cell["share"])
    how = FitOptions(max_steps=STEPS // cell["share"], validation=0, seed=seed)
    if variant.leave_out is not None:
        how = replace(how, leave_out=variant.leave_out)
    with ExitStack() as stack:
        for name, instead in variant.patches.items():
            stack.enter_context(patch(name, instead))
        model = create_reward_model("minilm", seed=seed, **variant.options)
        assert isinstance(model, LanguageModelReward)
        assert isinstance(model.heads, BindingHeads)
        for name, learns in variant.learn.items():
            model.heads.get_parameter(name).requires_grad_(learns)
        ratings = Ratings(texts=chosen.texts, values=chosen.values, groups=chosen.steps.episode)
        fit(model, Labels(ratings=ratings), how, progress=False)
        predicted = model.predict(test.texts).mean
    return {"r2": r_squared(predicted, test.values), "spearman": spearman(predicted, test.values)}


def grid(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """All cells, one seed after the other."""
    share = 10 if quick else 1
    return [
        {"env": env, "labels": labels, "variant": variant, "seed": seed, "share": share}
        for seed in seeds
        for env in (ENVIRONMENTS[:1] if quick else ENVIRONMENTS)
        for labels in (LABELS[:1] if quick else LABELS)
        for variant in VARIANTS
    ]


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Whether each part earns its place: nothing is better without it."""
    judged = list[dict[str, Any]]()
    for variant in (v for v in VARIANTS if v != SHIPPED):
        gains = dict[str, float]()
        for env, labels in dict.fromkeys((c["env"], c["labels"]) for c in cells):
            here = [c for c in cells if (c["env"], c["labels"]) == (env, labels)]
            with_it, without = ([c["r2"] for c in here if c["variant"] == v] for v in (SHIPPED, variant))
            if with_it and without:
                gains[f"{env} at {labels}"] = float(np.mean(with_it) - np.mean(without))
        if gains:
            worst = min(gains, key=lambda place: gains[place])
            statement = f"R² as shipped less that with “{variant}”, mean over seeds, at its worst ({worst})"
            holds = gains[worst] >= -MARGIN
            judged.append(claim(f"earns-{variant}", statement, gains[worst], bound=-MARGIN, holds=holds))
    return judged


def main() -> None:
    """Run every cell."""
    options = arguments(__doc__, flags=STOPPED)
    cells = grid(options.seeds, quick=options.quick)
    if options.dry_run:
        report_minutes({variant: [SECONDS for c in cells if c["variant"] == variant] for variant in VARIANTS})
        return
    done = (finished if options.finished else run_cells)(cells, measure, options.runs)
    write_results(options.out, done, claims(done), options.seeds)


if __name__ == "__main__":
    main()
