"""Questions to a table and answers from it: ``rmgym label --questions FILE``, ``--answers FILE``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rmgym.cli.output import err
from rmgym.cli.teachers import PERSON, SCRIPTED
from rmgym.errors import FeedbackError

if TYPE_CHECKING:
    from rmgym.feedback.store import LabelStore


@dataclass(frozen=True)
class Tables:
    """The tables that a command names.

    Attributes:
        questions: to be written.
        answers: to be read, before that.
        teacher: as named; a table's answers are a person's where they are said to be.

    Raises:
        FeedbackError: a function is named too, or the file of the questions is there.
    """

    questions: Path | None
    answers: Path | None
    teacher: str

    def __post_init__(self) -> None:
        from rmgym.feedback.sheets import ending_of

        for table in (self.questions, self.answers):
            if table is not None:
                ending_of(table)
        if self.teacher not in (SCRIPTED, PERSON):
            fix = "leave --teacher out, or the tables"
            raise FeedbackError("a table is answered elsewhere, not by a function", got=self.teacher, fix=fix)
        if self.questions is not None and self.questions.exists():
            raise FeedbackError(
                "questions are written to a new file: there may be answers in an old one",
                got=f"{self.questions}, which is there already",
                fix=f"read it with --answers {self.questions}, or name another file",
            )

    def read(self, store: LabelStore, annotator: str, levels: int) -> None:
        """Read the answers, if there are any to read."""
        from rmgym.feedback.questionnaire import TABLE, read_answers
        from rmgym.feedback.teachers.person import HUMAN

        if self.answers is None:
            return
        source = HUMAN if self.teacher == PERSON else TABLE
        came = read_answers(store, self.answers, annotator=annotator, source=source, levels=levels or None)
        counts = f"{came.new} new answers, {came.changed} changed, {came.same} as before"
        err.print(f"{self.answers}: {counts}", markup=False, soft_wrap=True)

    def write(self, store: LabelStore, annotator: str) -> None:
        """Write the open questions, if they are asked for."""
        from rmgym.feedback.questionnaire import write_questions

        if self.questions is None:
            return
        count = write_questions(store, self.questions, annotator=annotator)
        came = f"open questions: {count}; fill in the column 'answer'" if count else "not written: all are answered"
        err.print(f"{self.questions}: {came}", markup=False, soft_wrap=True)
