"""Files that somebody made to do harm, given to the commands that a user would give them to.

Each is handed over in a process whose time and memory are measured. A tripwire lies where everything that executes
would leave a file; a traceback, and a terminal's escape sequence that comes through, are looked for in what it printed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faults_harms as harms_of
import numpy as np
from common import Cell
from faults_commands import TRACEBACK, Ended, command, forked
from faults_flips import saved_agent, text_model
from faults_harms import ESCAPE, Harm
from faults_jobs import inputs, reference

from rmgym.errors import RmgymError
from rmgym.sb3.saving import read_saved

LONGEST, LARGEST = 10.0, 2.0  # seconds, gigabytes
_PATIENCE = 60.0  # seconds after which a process is ended that would never end
_PANIC = "panicked at"
"""What libraries in Rust say where Python has a traceback."""


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        source: gives a folder of good ones, from that of the whole benchmark.
        harms: what is done to a copy, given the folder and the tripwire.
        use: what reads it.
    """

    source: Callable[[Path], Path]
    harms: Callable[[Path, Path], Iterator[Harm]]
    use: Callable[[Path, Path], Ended]


def hostile(cell: Cell, runs: Path) -> Cell:
    """Give so many files of a kind to a command; what came of each."""
    kind, name = KINDS[cell["kind"]], cell["kind"]
    source, place = kind.source(runs), runs / "hostile" / f"{name.replace(' ', '-')}-{cell['seed']}"
    shutil.rmtree(place, ignore_errors=True)
    wire = place / "executed"
    harms = list(kind.harms(source, wire))
    order = np.random.default_rng(list(KINDS).index(name)).permutation(len(harms))
    came = list[dict[str, Any]]()
    for i in range(cell["files"]):
        what, harm = harms[order[(cell["seed"] * cell["files"] + i) % len(harms)]]
        folder = place / str(i)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.lock", "tensorboard"))
        harm(folder)
        ended = kind.use(folder, runs)
        came.append({"what": what.replace(str(runs), "runs")[:120], **_judged(ended, wire)})
    shutil.rmtree(place)
    return {"done": len(came), "came": came, **{name: sum(each[name] for each in came) for name in COUNTED}}


COUNTED = ("executed", "traceback", "escaped", "large", "long")


def _judged(ended: Ended, wire: Path) -> dict[str, object]:
    executed = wire.exists()
    wire.unlink(missing_ok=True)
    crashed = TRACEBACK in ended.output or _PANIC in ended.output or ended.code not in (0, 1, 2)
    return {
        "code": ended.code,
        "seconds": round(ended.seconds, 2),
        "gigabytes": round(ended.gigabytes, 2),
        "executed": executed,
        "traceback": crashed,
        "escaped": ESCAPE in ended.output,
        "large": ended.gigabytes > LARGEST,
        "long": ended.seconds > LONGEST,
        **({"output": ended.output[-300:]} if crashed else {}),
    }


def _given(*names: str) -> Callable[[Path], Path]:
    """A folder with copies of some of the inputs."""

    def source(runs: Path) -> Path:
        given, folder = inputs(runs), runs / "-".join(("some", *names))
        for name in names:
            folder.mkdir(exist_ok=True)
            shutil.copy(given / name, folder / name)
        return folder

    return source


def _card(runs: Path) -> Path:
    folder = runs / "card"
    folder.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[1] / "envs" / "Pendulum-v1.toml", folder / "card.toml")
    return folder


def _nothing(runs: Path) -> Path:
    folder = runs / "nothing"
    folder.mkdir(exist_ok=True)
    return folder


def _typed(words: str) -> Callable[[Path, Path], Ended]:
    """A command in the folder; ``INPUTS`` stands for where the good files are."""

    def use(folder: Path, runs: Path) -> Ended:
        return command(words.replace("INPUTS", str(inputs(runs))).split(), folder, kill_after=_PATIENCE)

    return use


def _read_agent(folder: Path, runs: Path) -> Ended:
    """By the function that reads a saved agent before it is unpickled."""
    del runs

    def read() -> None:
        try:
            print(read_saved(folder / "agent.zip").spec.algo)
        except RmgymError as error:  # as a command ends
            print(error)
            raise SystemExit(2) from None

    return forked(read, folder, kill_after=_PATIENCE)


_TRAIN = "train Pendulum-v1 --steps 256 --episodes 1 --out run"
_MODEL = _typed(f"{_TRAIN} --algo INPUTS/small_ppo.toml --reward .")
_FIT = "fit --steps 5 --out model"
_LABEL = _typed("label Pendulum-v1 --data steps.parquet --ratings 5 --db new.sqlite")

KINDS: dict[str, Kind] = {
    "model": Kind(lambda runs: inputs(runs) / "model", harms_of.models, _MODEL),
    "weights and tokenizer": Kind(text_model, harms_of.weights, _MODEL),
    "labels": Kind(_given("labels.sqlite"), harms_of.labels, _typed(f"{_FIT} --db labels.sqlite --model no-lm")),
    "steps": Kind(_given("steps.parquet"), harms_of.steps, _LABEL),
    "run": Kind(lambda runs: reference("train", runs)[0] / "run", harms_of.runs, _typed("report .")),
    "environment card": Kind(_card, harms_of.cards, _typed("envs Pendulum-v1 --card card.toml")),
    "agent card": Kind(
        _given("small_ppo.toml"), harms_of.algos, _typed(f"{_TRAIN} --algo small_ppo.toml --reward constant")
    ),
    "suite": Kind(_given("suite.toml"), harms_of.suites, _typed("bench suite.toml --dry-run")),
    "agent": Kind(saved_agent, harms_of.agents, _read_agent),
    "language model": Kind(
        _nothing, harms_of.language_models, _typed(f"{_FIT} --db INPUTS/labels.sqlite --model hf:.")
    ),
}
"""By name, with the command that they are given to."""
