"""What is a GPU good for here? Fitting and scoring on every device there is, and whether they say the same.

200 exact ratings of random steps of Pendulum-v1. Each model is fitted on each device for the same few steps, after a
fit of two that wakes the device; then the one fitted on the CPU scores steps that neither has seen, on each device in
float32 and on the GPU in bfloat16 as well. Seconds are wall-clock, medians of REPEATS for scoring, all cores for the
CPU (``cpu, 1 thread``: one). Texts are there already. ``differs`` is the largest difference between a device's rewards
and the CPU's, in standard deviations of the rewards.

    python benchmarks/devices.py
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import JUDGE, Cell, arguments, claim, judge_again, run_cells, write_results
from label_efficiency import rated

import rmgym
from rmgym.feedback.labels import Labels, Ratings
from rmgym.jobs.processes import available_cores
from rmgym.metrics import r_squared
from rmgym.metrics.ranking import spearman
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.neural import NeuralRewardModel
from rmgym.threads import torch_threads
from rmgym.training import FitOptions, fit

ENV, LABELS, REPEATS = "Pendulum-v1", 200, 5


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model.

    Attributes:
        model: its name.
        options: of the model.
        steps: of a fit.
        scored: steps of the environment that are scored at once.
    """

    model: str
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    steps: int = 300
    scored: int = 4096


LORA, EARLY = {"tune": "lora"}, {"fusion": "early"}
ARMS = {
    "minilm": Arm(model="minilm"),
    "no-lm": Arm(model="no-lm"),
    "minilm, LoRA": Arm(model="minilm", options=LORA, steps=50),
    "minilm, tuned whole": Arm(model="minilm", options={"tune": "whole"}, steps=50),
    "minilm, early": Arm(model="minilm", options=EARLY, steps=20, scored=512),
    "smollm2": Arm(model="smollm2"),
    "smollm2, LoRA": Arm(model="smollm2", options=LORA, steps=20),
    "smollm2, early": Arm(model="smollm2", options=EARLY, steps=4, scored=64),
    "seq2seq small": Arm(model="seq2seq", options={"preset": "small"}, steps=100),
    "seq2seq reference": Arm(model="seq2seq", options={"preset": "reference"}, steps=10, scored=256),
}
GPU, ONE = "cuda", "cpu, 1 thread"
DIFFERS, RANKS, FASTER = 0.01, 0.99, 3.0
LARGE = ("minilm, early", "smollm2, early", "seq2seq reference")
"""Models that run a Transformer at every step."""


def measure(cell: Cell) -> Cell:
    """Fit and score with one model on every device."""
    arm = ARMS[cell["arm"]]
    steps, scored = max(2, arm.steps // cell["share"]), arm.scored // cell["share"]
    pool, test = (rmgym.collect(ENV, n, seed=seed, progress=False) for n, seed in ((LABELS, 0), (scored, 1)))
    say = rmgym.textualizer(ENV)
    labels = Labels(ratings=Ratings(texts=say.batch(pool), values=rated(pool), groups=pool.episode))
    texts, values = say.batch(test), rated(test)

    def fitted(device: str, count: int) -> NeuralRewardModel:
        model = create_reward_model(arm.model, seed=cell["seed"], **arm.options)
        assert isinstance(model, NeuralRewardModel)
        return fit(model.to(device), labels, FitOptions(max_steps=count, validation=0), progress=False).model

    found: Cell = {"fit_steps": steps, "scored": scored, "fit": {}, "r2": {}, "score": {}, "differs": {}, "ranks": {}}
    devices, cores = ["cpu", *([GPU] if torch.cuda.is_available() else [])], available_cores()
    torch.set_num_threads(cores)
    with tempfile.TemporaryDirectory() as folder:
        for device in devices:
            fitted(device, 2)
            found["fit"][device], model = timed(lambda device=device: fitted(device, steps))
            found["r2"][device] = r_squared(model.predict(texts).mean, values)
            model.save(Path(folder, device))
        with torch_threads(1):
            exact = load_reward_model(Path(folder, "cpu")).predict(texts).mean
        for place, device, dtype in [
            (ONE, "cpu", "float32"),
            *((device, device, "float32") for device in devices),
            *((f"{device}, bfloat16", device, "bfloat16") for device in devices if device == GPU),
        ]:
            model = load_reward_model(Path(folder, "cpu"), device=device, dtype=dtype)
            with torch_threads(1 if place == ONE else cores):
                mean = model.predict(texts).mean
                seconds = [timed(lambda model=model: model.predict(texts))[0] for _ in range(REPEATS)]
            found["score"][place] = scored / float(np.median(seconds))
            found["differs"][place] = float(np.abs(mean - exact).max() / exact.std())
            found["ranks"][place] = spearman(mean, exact)
    return {"device": torch.cuda.get_device_name() if GPU in devices else None, **found}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of some work, and what it gives."""
    start = time.perf_counter()
    result = work()  # rewards and weights are read back, so that nothing is pending on the device
    return time.perf_counter() - start, result


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """That devices agree, and that the GPU earns its place where a Transformer reads every step."""
    judged = list[dict[str, Any]]()
    for cell in (c for c in cells if GPU in c["differs"]):
        arm, ranks = cell["arm"], cell["ranks"][f"{GPU}, bfloat16"]
        value = cell["differs"][GPU]
        statement = f"{arm}: largest difference between rewards on the GPU and on the CPU, float32, in their deviations"
        judged.append(claim(f"same-{arm}", statement, value, bound=DIFFERS, holds=value <= DIFFERS))
        statement = f"{arm}: rank correlation of rewards on the GPU in bfloat16 with those on the CPU"
        judged.append(claim(f"ranks-{arm}", statement, ranks, bound=RANKS, holds=ranks >= RANKS))
        if arm in LARGE:
            value = cell["score"][GPU] / cell["score"]["cpu"]
            statement = f"{arm}: scores as many times as many steps a second on the GPU as on all cores"
            judged.append(claim(f"faster-{arm}", statement, value, bound=FASTER, holds=value >= FASTER))
    return judged


def main() -> None:
    """Run every cell, one at a time."""
    options = arguments(__doc__, seeds=(0,), flags=JUDGE)
    if options.judge:
        judge_again(options.out, claims(json.loads(options.out.read_text(encoding="utf-8"))["cells"]))
        return
    share = 10 if options.quick else 1
    cells = [{"arm": arm, "seed": seed, "share": share} for seed in options.seeds for arm in ARMS]
    done = run_cells(cells, measure, options.runs, processes=1)
    write_results(options.out, done, claims(done), options.seeds)


if __name__ == "__main__":
    main()
