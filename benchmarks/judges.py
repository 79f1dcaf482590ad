"""Can SmolLM2-135M judge control tasks, is a useless judge refused, and what does one that errs teach?

Three kinds of cells:

* ``smollm2``: the real weights behind a real server on loopback, on pairs of known order: ratings of single steps, and
  comparisons of segments of ten steps in both orders. Pendulum's pairs are ordered by the true reward, those of
  CartPole and MiniGrid, whose reward is constant or sparse, by what follows (``outcome``).
* ``coin``: 2,000 judges that toss a coin, on 100 pairs each; how many are taken for better than chance.
* ``errs``: 200 or 1,000 comparisons of single steps of Pendulum by a judge that is wrong in some share of the
  questions, measured on 100 pairs and asked as any judge; a model is fitted on them, and ranks 2,000 other steps.

    python benchmarks/judges.py                      # about 10 minutes of one core
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import STOPPED, Cell, arguments, claim, finished, run_cells, write_results
from judge_server import MODEL, served

import rmgym
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.teachers import JudgeTeacherOptions, ScriptedTeacher
from rmgym.judge.answer_file import AnswerFile
from rmgym.judge.clients import Reply, normalised
from rmgym.judge.inquiry import Inquiry
from rmgym.judge.opinions import Judge
from rmgym.judge.skill import Reliability
from rmgym.judge.spending import Prices, Spending
from rmgym.metrics.ranking import spearman
from rmgym.training import FitOptions, fit

TASKS = {"Pendulum-v1": "reward", "CartPole-v1": "outcome", "MiniGrid-Empty-5x5-v0": "outcome"}
WRONG = (0.0, 0.3)
LENGTH = {"rating": 1, "preference": 10}
COMPARISONS = (200, 1000)
PAIRS, COINS, STEPS = 40, 2000, 2000
_ANGLE = re.compile(r"^- angle from upright.* (-?[\d.]+)(?: before and)? after", re.MULTILINE)
_SPEED = re.compile(r"^- angular velocity.* (-?[\d.]+)(?: before and)? after", re.MULTILINE)


class Erring:
    """Compares steps of Pendulum by the words that a judge reads, and is wrong in a share of all pairs.

    Args:
        wrong: the share.
        seed: of the pairs that it errs about.
    """

    at_once = 64

    def __init__(self, wrong: float, seed: int) -> None:
        self.wrong, self.seed, self.identity = wrong, seed, f"erring {wrong} {seed}"

    def ask(self, prompts: Sequence[str], words: tuple[str, ...]) -> Iterator[tuple[int, Reply]]:
        """See :class:`rmgym.judge.clients.Client`."""
        del words
        for place, prompt in enumerate(prompts):
            seen = zip(_ANGLE.findall(prompt), _SPEED.findall(prompt), strict=True)
            first, second = (-(float(angle) ** 2) - 0.1 * float(speed) ** 2 for angle, speed in seen)
            drawn = sha256(f"{self.seed} {sorted([first, second])}".encode()).digest()
            odds = 3.0 if (first > second) != (int.from_bytes(drawn[:6], "big") / 2**48 < self.wrong) else -3.0
            yield place, Reply(logs=normalised([odds, 0.0]), read=0, written=0)


def measure(cell: Cell) -> Cell:
    """Do one cell."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if cell["judge"] == MODEL:
            return _smollm2(cell, Path(folder))
        return _coins(cell) if cell["judge"] == "coin" else _erring(cell, Path(folder))


def _smollm2(cell: Cell, folder: Path) -> Cell:
    length, target = LENGTH[cell["kind"]], TASKS[cell["env"]]
    plan = QuestionPlan(ratings=0, preferences=4 * cell["pairs"], length=length, whole_episodes=target == "outcome")
    steps = rmgym.collect(
        cell["env"], plan.collect_steps, seed=cell["seed"], reset_every=plan.collect_reset_every, progress=False
    )
    texts = rmgym.textualizer(cell["env"]).batch(steps)
    with served() as url:
        options = JudgeTeacherOptions(
            judge=url, served=MODEL, pairs=cell["pairs"], answers=str(folder / "answers.sqlite"), seed=cell["seed"]
        )
        teacher = options.teacher(lambda: ScriptedTeacher(target=target))  # type: ignore[arg-type]
        skill = teacher.measure(cell["kind"], steps, texts, length)
        tokens = teacher.opinions.inquiry.spending.tokens
    return {**asdict(skill), **_accuracy(skill), "tokens": tokens}


def _coins(cell: Cell) -> Cell:
    rng = np.random.default_rng(cell["seed"])
    judges = [Reliability.of("preference", "truth", rng.choice([-1.0, 1.0], cell["pairs"])) for _ in range(COINS)]
    return {"judges": COINS, "refused": float(np.mean([not each.is_reliable for each in judges]))}


def _erring(cell: Cell, folder: Path) -> Cell:
    steps = rmgym.collect("Pendulum-v1", STEPS, seed=cell["seed"], reset_every=25, progress=False)
    unseen = rmgym.collect("Pendulum-v1", STEPS, seed=10_000 + cell["seed"], reset_every=25, progress=False)
    say = rmgym.textualizer("Pendulum-v1")
    teacher = JudgeTeacherOptions(pairs=cell["pairs"]).teacher(ScriptedTeacher)
    asks = Inquiry(Erring(cell["wrong"], cell["seed"]), AnswerFile(folder / "a.sqlite"), Spending(Prices()))
    vars(teacher)["opinions"] = Judge(asks, teacher.judge)  # which is computed once, and then kept there
    labels = rmgym.label(
        steps, teacher, ratings=0, preferences=cell["comparisons"], length=1, seed=cell["seed"], texts=say.batch(steps)
    )
    fitted = fit("no-lm", labels, FitOptions(max_steps=cell["fit_steps"], validation=0), progress=False)
    skill = teacher.measure("preference", steps, say.batch(steps), 1)
    rank = spearman(fitted.model.predict(say.batch(unseen)).mean, unseen.true_reward)
    return {**_accuracy(skill), "spearman": rank}


def _accuracy(skill: Reliability) -> Cell:
    accuracy = skill.accuracy
    return {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high, "taken": skill.is_reliable}


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What was measured of SmolLM2; whether the useless are refused; what the erring one teaches."""
    judged = list[dict[str, Any]]()
    for cell in (each for each in cells if each["judge"] == MODEL):
        statement = (
            f"SmolLM2-135M, {cell['env']}: share of {cell['pairs']} pairs that its {cell['kind']} answers have in "
            f"order, by {TASKS[cell['env']]}; the lower end of the interval is above one half"
        )
        ci = (cell["low"], cell["high"])
        name = f"smollm2-{cell['env']}-{cell['kind']}"
        judged.append(claim(name, statement, cell["accuracy"], ci=ci, bound=0.5, holds=cell["taken"]))
    refused = float(np.mean([cell["refused"] for cell in cells if cell["judge"] == "coin"]))
    statement = f"share of {COINS} judges that toss a coin, on 100 pairs each, that are refused"
    judged.append(claim("coins-refused", statement, refused, bound=0.95, holds=refused >= 0.95))
    erring = [cell for cell in cells if cell["judge"] == "errs"]
    for count in dict.fromkeys(cell["comparisons"] for cell in erring):
        here = [cell for cell in erring if cell["comparisons"] == count]
        never, often = (float(np.mean([c["spearman"] for c in here if c["wrong"] == wrong])) for wrong in WRONG)
        statement = (
            f"Pendulum, {count} comparisons: rank correlation with the true reward of a model fitted on a judge that "
            f"is wrong in 30 of 100 questions ({often:.3f}), over that of one that never is ({never:.3f}), mean of "
            f"{len(here) // 2} seeds"
        )
        share = often / never if never > 0 else math.nan
        judged.append(claim(f"erring-teaches-{count}", statement, share, bound=0.9, holds=share >= 0.9))
    return judged


def all_cells(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """Settings of every cell."""
    cells: list[Cell] = [{"judge": "coin", "pairs": 100, "seed": seeds[0]}]
    cells += [
        {
            "judge": "errs",
            "wrong": wrong,
            "comparisons": count,
            "pairs": 100,
            "fit_steps": 100 if quick else 600,
            "seed": seed,
        }
        for seed in (seeds[:1] if quick else seeds)
        for count in (COMPARISONS[:1] if quick else COMPARISONS)
        for wrong in WRONG
    ]
    return cells + [
        {"judge": MODEL, "env": env, "kind": kind, "pairs": 20 if quick else PAIRS, "seed": seeds[0]}
        for env in ([*TASKS][:1] if quick else TASKS)
        for kind in LENGTH
    ]


def main() -> None:
    """Run every cell, one at a time: the server and those who ask it share a core."""
    options = arguments(__doc__, seeds=(0, 1), flags={"finished": STOPPED["finished"]})
    cells = all_cells(options.seeds, quick=options.quick)
    run = finished if options.finished else partial(run_cells, processes=1)
    done = run(cells, measure, options.runs)
    write_results(options.out, done, claims(done), options.seeds, cells_in_all=len(cells))


if __name__ == "__main__":
    main()
