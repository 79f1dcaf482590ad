"""A progress bar for fitting: step, loss, held-out score, rate, time left."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rmgym.progress import Console, Words


class _Bar(TrainerCallback):
    def __init__(self, bar: Progress, name: str) -> None:
        self.bar = bar
        self.task = bar.add_task(f"fit {name}", total=None, scores="", rate="")
        self.begun, self.scores = 0, dict[str, str]()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        self.begun = state.global_step
        self.bar.update(self.task, total=state.max_steps, completed=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        elapsed = self.bar.tasks[0].elapsed or 1e-9
        rate = f"{(state.global_step - self.begun) / elapsed:.0f} steps/s"
        self.bar.update(self.task, completed=state.global_step, rate=rate)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float | None] | None = None,
        **others: object,
    ) -> None:
        names = {"loss": "loss", "eval_r2": "held-out R2", "eval_accuracy": "held-out accuracy"}
        shown = {names[key]: value for key, value in (logs or {}).items() if key in names and value is not None}
        self.scores |= {name: f"{value:.3f}" for name, value in shown.items()}
        self.bar.update(self.task, scores="  ".join(f"{name} {value}" for name, value in self.scores.items()))


@contextmanager
def fit_bar(name: str, *, show: bool) -> Generator[list[TrainerCallback]]:
    """Callbacks for ``Trainer``: one with a bar on standard error, or none."""
    if not show:
        yield []
        return
    columns = (
        Words("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Words("{task.fields[scores]}"),
        Words("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield [_Bar(bar, name)]
