"""What lies where in a loop's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rmgym.errors import RunError
from rmgym.jobs import read_record
from rmgym.models.files import MANIFEST
from rmgym.runs.record import Round, read_object
from rmgym.specs.base import Json

KIND = "loop"
"""Of the job, whose record is ``loop.json``."""
QUESTIONS, ROUND = "questions.json", "round.json"
"""In a round's folder: what was asked about and why, and, once it is done, its :class:`Round`."""
ANEW = "put a copy of the file back, or begin the loop anew"
"""What to do about a damaged one."""
_ROUNDS, _MODEL, _POLICIES, _PLACED = "rounds", "model", "policies", "placed.parquet"


@dataclass(frozen=True)
class LoopFolder:
    """A loop's folder: its labels, its rounds, and the agent's run.

    Attributes:
        path: where it is.
    """

    path: Path

    @property
    def labels(self) -> Path:
        """The label database."""
        return self.path / "labels.sqlite"

    @property
    def run(self) -> Path:
        """The agent's run."""
        return self.path / "run"

    @property
    def measures(self) -> Path:
        """What was measured of language models in the first round that asked them, for all rounds."""
        return self.path / "measures.sqlite"

    def round(self, number: int) -> Path:
        """Folder of a round."""
        return self.path / _ROUNDS / f"{number:02d}"

    def model(self, number: int) -> Path:
        """Where a round's model is, if it fitted one."""
        return self.round(number) / _MODEL

    def policies(self, number: int) -> Path:
        """Where steps of each policy are that a round asked about."""
        return self.round(number) / _POLICIES

    def placed(self, number: int) -> Path:
        """Where the steps are that a round placed on the ladder."""
        return self.round(number) / _PLACED

    def all_placed(self) -> list[Path]:
        """Files of all steps that were placed so far, in the order of the rounds."""
        return sorted((self.path / _ROUNDS).glob(f"*/{_PLACED}"))

    def all_policies(self) -> list[Path]:
        """Files of steps of all policies so far, in the order of the rounds."""
        return sorted((self.path / _ROUNDS).glob(f"*/{_POLICIES}/*.parquet"))

    def record(self) -> tuple[Round, ...]:
        """What was asked in each round that is done; rounds that fell into one rollout are one.

        Raises:
            RunError: a round's file is damaged.
        """
        files = (self.path / _ROUNDS).glob(f"*/{ROUND}")
        rounds = [Round.from_json(read_object(file, fix=ANEW), str(file)) for file in files]
        return tuple(sorted(rounds, key=lambda each: each.number))

    def is_done(self, number: int) -> bool:
        """Whether a round is."""
        return (self.round(number) / ROUND).exists()

    def has_model(self, number: int) -> bool:
        """Whether a round fitted a model of its own."""
        return (self.model(number) / MANIFEST).exists()

    def made_in(self, number: int) -> int:
        """The round that fitted the model there was after a round: one that brings no labels fits none.

        Raises:
            RunError: none did.
        """
        fitted = (r.number for r in self.record() if r.number <= number and self.has_model(r.number))
        if (last := max(fitted, default=None)) is None:
            raise RunError("a round that is done leaves a model", got=f"none in {self.path / _ROUNDS}", fix=ANEW)
        return last

    def model_after(self, number: int) -> Path:
        """Where that model is."""
        return self.model(self.made_in(number))

    @property
    def last_model(self) -> Path:
        """Where the model of the last round is that is done; there is one."""
        return self.model_after(max((each.number for each in self.record()), default=0))


def finished_loop(path: Path, env: Json, teacher: Mapping[str, Json], *, potential: bool) -> LoopFolder:
    """The folder of a finished loop to go on from.

    Args:
        path: where it is.
        env: the environment, as loops record it; so is the teacher.
        teacher: who is to answer: its answers stand beside those that are there, and have to mean the same.
        potential: whether questions are about states, not steps.

    Raises:
        RunError: there is none, it is not done, it is not whole, or it is about another environment or answers that
            mean something else.
    """
    record, folder = read_record(path, KIND), LoopFolder(path)
    if record is None or record.status != "done":
        got = f"{path}: {'no loop' if record is None else 'a loop that is not done'}"
        raise RunError("a loop goes on from one that is done", got=got, fix="finish it with --resume, or name another")
    if record.settings.get("env") != env:
        raise RunError(
            "a loop goes on in the environment of the one before",
            got=f"{env}; {path} is about {record.settings.get('env')}",
            fix="name that environment",
        )
    there, options = record.settings.get("teacher"), record.settings.get("options")
    if (options.get("potential", False) if isinstance(options, Mapping) else None) != potential:
        raise RunError(
            "a loop goes on with answers about what those before are about: steps, or the states of a potential",
            got=f"potential={potential} after {path}, whose labels are about {'steps' if potential else 'states'}",
            fix="ask as that loop did, or begin another",
        )
    # What scripts that err make of the truth is not in their source: other habits are other people.
    people = ("habits", "seed", "members") if str(teacher.get("source")).startswith(("fallible:", "panel:")) else ()
    for what in ("source", "levels", *people):
        before = there.get(what) if isinstance(there, Mapping) else None
        if before != teacher.get(what):
            raise RunError(
                "a loop goes on with answers that mean what those before did",
                got=f"{what} {teacher.get(what)!r}; in {path} it is {before!r}",
                fix="ask as that loop did, or begin another",
            )
    if not folder.labels.exists() or not folder.all_policies():
        raise RunError("a loop goes on from a folder that is whole", got=str(path), fix="copy it again")
    return folder
