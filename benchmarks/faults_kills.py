"""Jobs that are killed at drawn instants, gone on with, and compared with one that nobody interrupted.

An instant is drawn evenly over the seconds that the uninterrupted job took. Whatever is left after a kill goes on by
the command that a user would type, and may be killed again, until it has ended by itself. Then the next life begins.
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Cell
from faults_commands import Ended, command
from faults_jobs import ANNOTATOR, ANSWERS, JOBS, inputs, reference

from rmgym.feedback.store import LabelStore

_SHOWN = re.compile(rf"^\W*(\d+) of {len(ANSWERS)}\W*$", re.MULTILINE)
"""What the terminal shows above each question that somebody is asked."""


@dataclass
class Life:
    """A job from its first beginning to its end.

    Attributes:
        job: its name.
        folder: where it works.
        given: folder of its inputs.
        kills: how often it was killed.
        answered: of somebody who labels: answers that are on the disk.
        lost: what is not there any more, or cannot be gone on with, in words.
    """

    job: str
    folder: Path
    given: Path
    kills: int = 0
    answered: int = 0
    lost: str | None = None

    def attempt(self, kill_after: float | None) -> Ended:
        """Begin it, or go on with it."""
        what = JOBS[self.job]
        again = what.resume if self.kills else ()
        answers = what.answers[self.answered :]
        ended = command([*what.arguments(self.given), *again], self.folder, kill_after=kill_after, answers=answers)
        self.kills += ended.killed
        if ended.killed and what.answers:
            self._look_at_labels(ended)
        elif not ended.killed and ended.code:
            self.lost = f"it does not go on after {self.kills} kills: {ended.output[-1000:]}"
        return ended

    def _look_at_labels(self, ended: Ended) -> None:
        """Whoever was shown question k had k - 1 answers taken."""
        taken = max((int(number) for number in _SHOWN.findall(ended.output)), default=1) - 1
        file = self.folder / "labels.sqlite"
        there = LabelStore(file).progress(ANNOTATOR)[0] if file.exists() else 0
        if there < max(taken, self.answered):
            self.lost = f"{there} answers after a kill, {max(taken, self.answered)} before"
        self.answered = there


def kills(cell: Cell, runs: Path) -> Cell:
    """Kill one job so many times; how many lives that took, what was lost and what came out differently."""
    job = cell["job"]
    _, seconds, expected = reference(job, runs)
    rng = np.random.default_rng([cell["seed"], list(JOBS).index(job)])
    lives, instants, differing = list[Life](), list[float](), list[str]()
    place = runs / "killed" / f"{job}-{cell['seed']}"
    shutil.rmtree(place, ignore_errors=True)
    start = time.monotonic()
    while sum(life.kills for life in lives) < cell["kills"]:
        life = Life(job, place / str(len(lives)), inputs(runs))
        lives.append(life)
        while True:
            left = cell["kills"] - sum(each.kills for each in lives)
            instant = float(rng.uniform())
            ended = life.attempt(instant * seconds if left else None)
            if ended.killed:
                instants.append(instant)
            if life.lost or not ended.killed:
                break
        if life.lost is None:
            differing += _differences(expected, JOBS[job].result(life.folder))
    lost = [life.lost for life in lives if life.lost is not None]
    if not lost and not differing:
        shutil.rmtree(place)
    return {
        "done": len(instants),
        "lives": len(lives),
        "instants": [round(instant, 3) for instant in instants],
        "lost": lost,
        "differing": differing,
        "job_seconds": round(seconds, 2),
        "all_seconds": round(time.monotonic() - start, 1),
    }


def _differences(expected: dict[str, object], result: dict[str, object]) -> list[str]:
    return [name for name in sorted({*expected, *result}) if expected.get(name) != result.get(name)]
