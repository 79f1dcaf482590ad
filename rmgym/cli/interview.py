"""Asking a person in the terminal: shows a step or two segments, takes an answer, stores it at once."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.text import Text

from rmgym.cli.step_views import segment_view, step_view
from rmgym.feedback.questions import Question
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.person import HUMAN
from rmgym.text.reading import StepReader

_CHOICES = {"l": 1.0, "r": 0.0, "t": 0.5}


def interview(store: LabelStore, annotator: str, *, levels: int, reader: StepReader, console: Console) -> None:
    """Ask an annotator every question that is pending, until none is left or they stop.

    Args:
        store: where questions and answers are.
        annotator: who answers.
        levels: ratings are 1 to ``levels``, higher is better.
        reader: takes texts apart for display.
        console: where the dialogue is shown.
    """
    task = ""
    while True:
        question = next(store.pending(annotator), None)
        answered, asked = store.progress(annotator)
        if question is None:
            console.print(f"All {asked} questions are answered.", markup=False)
            if _key(console, "u undo, Enter to finish: ") != "u" or not _undo(store, annotator, console):
                return
            continue
        step = reader.read(question.left.strings()[0])
        if step is not None and step.task != task:
            task = step.task
            console.print(task, markup=False)
        console.rule(Text(f"{answered + 1} of {asked}"))
        for view in _views(question, reader):
            console.print(view)
        if not _answer(store, question, annotator, levels, console):
            console.print(f"Stopped at {answered} of {asked}; the same command goes on.", markup=False)
            return


def _answer(store: LabelStore, question: Question, annotator: str, levels: int, console: Console) -> bool:
    """Take one valid answer; False to stop."""
    rating = question.kind == "rating"
    numbers = {str(level): float(level) for level in range(1, levels + 1)}
    ask = f"1 (worst) to {levels} (best)" if rating else "which is better? l left, r right, t tie"
    while True:
        key = _key(console, f"{ask}; s skip, u undo, q quit: ")
        if key == "q":
            return False
        if key == "u":
            if _undo(store, annotator, console):
                return True
        elif key == "s":
            store.skip(question.id, annotator=annotator, source=HUMAN)
            return True
        elif rating and key in numbers:
            store.rate(question.id, numbers[key], annotator=annotator, source=HUMAN, levels=levels)
            return True
        elif not rating and key in _CHOICES:
            store.prefer(question.id, _CHOICES[key], annotator=annotator, source=HUMAN)
            return True
        else:
            console.print(f"{key!r} is not an answer here.", markup=False)


def _key(console: Console, prompt: str) -> str:
    """What was typed; the end of the input quits."""
    try:
        return console.input(Text(prompt)).strip().lower()
    except EOFError:
        return "q"


def _undo(store: LabelStore, annotator: str, console: Console) -> bool:
    undone = store.undo(annotator)
    console.print("Nothing to undo." if undone is None else "Took back the last answer.", markup=False)
    return undone is not None


def _views(question: Question, reader: StepReader) -> list[RenderableType]:
    if question.right is None:
        return [step_view(question.left, reader)]
    sides = (("LEFT", question.left), ("RIGHT", question.right))
    return [view for name, texts in sides for view in (Text(name, style="bold"), segment_view(texts, reader))]
