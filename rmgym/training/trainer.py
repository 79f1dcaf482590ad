"""``transformers.Trainer`` fitted to reward models: it brings the loop, resume, mixed precision and several GPUs.

What is ours: batches of labels instead of token columns, one stream of draws instead of epochs, a learning rate of its
own for a language model, and a held-out score that remembers the best weights. Whether to stop early is read from
the log, which a checkpoint holds, so that a resumed run decides as an uninterrupted one.
"""

from __future__ import annotations

import gc
import math
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import DataCollator, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from rmgym.errors import StorageError
from rmgym.models.neural import NeuralRewardModel
from rmgym.training.dataset import Collator, LabelData, LabelStream, Rows
from rmgym.training.fit_folder import put_in_place
from rmgym.training.fit_options import FitOptions
from rmgym.training.objective import Metrics, Objective, judge
from rmgym.training.rank_losses import RANK_LOSSES

LM_PREFIX = "model.tower."
"""Parameters of the objective whose name begins so are those of a pretrained language model."""
LORA = ".lora_"
"""Parameters whose name holds this are LoRA's."""
UNITS = ("r2", "rmse")
"""What is measured in the units of the ratings."""
LORA_LEARNING_RATE = 10.0
"""How many times faster LoRA learns than a language model that is tuned whole (Schulman et al. 2025, "LoRA Without
Regret")."""
BETA_LEARNING_RATE = 1e-2
"""Of the one number that says how sharply preferences follow from rewards; it has a logarithm's range to cross."""


class RewardTrainer(Trainer):
    """Fits an :class:`Objective` on labels.

    Args:
        objective: the model with its loss.
        data: all labels.
        train: items to fit on.
        held_out: items to judge by; empty for none.
        options: how, settled for this model and these labels.
        folder: where ``Trainer`` may write.
        checkpoints: whether to write checkpoints; a whole one is moved one folder up.
        callbacks: more callbacks, such as a progress bar.
    """

    objective: Objective
    optimizer: torch.optim.Optimizer | None

    def __init__(
        self,
        objective: Objective,
        data: LabelData,
        train: Rows,
        held_out: Rows,
        options: FitOptions,
        *,
        folder: Path,
        checkpoints: bool,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.objective, self.data, self.held_out, self.options = objective, data, held_out, options
        assert options.batch_size is not None  # they are settled
        collator = Collator(
            data,
            steps_per_segment=options.steps_per_segment,
            crop=options.crop,
            pseudo=options.pseudo_labels is not None,
            seed=options.seed,
        )
        self.stream = LabelStream(train, length=options.max_steps * options.batch_size, seed=options.seed)
        super().__init__(
            model=objective,
            args=_arguments(options, folder, judged=len(held_out) > 0, checkpoints=checkpoints, model=objective.model),
            data_collator=cast(DataCollator, collator),
            train_dataset=self.stream,
            eval_dataset=cast(Any, held_out if len(held_out) else None),  # only asked whether it is there, see evaluate
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Dataset[object] | None = None) -> SequentialSampler:
        """The stream is in random order already."""
        del train_dataset
        return SequentialSampler(self.stream)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with a group for the language model, and without decay for biases, norms and scales."""
        del model
        options = self.options
        if self.optimizer is None:
            groups: dict[tuple[float, float], list[nn.Parameter]] = {}
            for name, parameter in self.objective.named_parameters():
                if parameter.requires_grad:
                    rate = options.lm_learning_rate if name.startswith(LM_PREFIX) else self.args.learning_rate
                    rate = LORA_LEARNING_RATE * rate if name.startswith(LM_PREFIX) and LORA in name else rate
                    rate = BETA_LEARNING_RATE if name == "log_beta" else rate
                    decay = options.weight_decay if parameter.ndim > 1 else 0.0
                    groups.setdefault((rate, decay), []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [
                    {"params": parameters, "lr": rate, "weight_decay": decay}
                    for (rate, decay), parameters in groups.items()
                ],
                fused=True,
            )
        return self.optimizer

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Write a checkpoint whole, or raise and leave the one before.

        Raises:
            StorageError: it cannot be written.
        """
        del trial  # of a search over hyperparameters, which is not made here
        try:
            super()._save_checkpoint(model, None)
            put_in_place(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}")
        except (OSError, RuntimeError, SafetensorError) as error:  # a RuntimeError is what torch.save raises
            shutil.rmtree(str(self.args.output_dir), ignore_errors=True)  # half a checkpoint fills the disk for nothing
            raise StorageError(
                "checkpoints are written to a folder with enough space",
                got=f"{self.args.output_dir}: {error}",
                fix="free space, then resume: the checkpoint before is intact",
            ) from error

    def evaluate(self, *args: object, **kwargs: object) -> Metrics:
        """Judge the model by the held-out labels, remember the best weights, stop where patience is at an end."""
        del args, kwargs
        unknown = UNITS if self.options.loss in RANK_LOSSES else ()  # until the fit is done
        judged = judge(self.objective, self.data, self.held_out)
        look: Metrics = {f"eval_{k}": v for k, v in judged.items() if k not in unknown}
        self.log(look)
        best = best_look(self.state.log_history)
        if best["step"] == self.state.global_step:
            self.objective.remember()
        since = (self.state.global_step - best["step"]) / self.options.eval_every
        if self.options.patience is not None and since >= self.options.patience:
            self.control.should_training_stop = True
        if self.control.should_training_stop:
            # The finished model is saved next. A checkpoint of this step would make a resumed run train past its end.
            self.control.should_save = False
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, look)
        return look


@contextmanager
def set_apart() -> Generator[None]:
    """Spare the collector what there is already: ``Trainer`` calls it, which took a third of a short fit otherwise."""
    if gc.get_freeze_count():  # somebody else's, who would not have it back
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def best_look(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The first log entry with the smallest held-out loss; one that is not a number never wins."""
    looks = [entry for entry in history if "eval_loss" in entry]
    return min(looks, key=lambda entry: entry["eval_loss"] if math.isfinite(entry["eval_loss"]) else math.inf)


def _arguments(
    options: FitOptions, folder: Path, *, judged: bool, checkpoints: bool, model: NeuralRewardModel
) -> TrainingArguments:
    assert options.batch_size is not None
    assert options.learning_rate is not None
    on_cpu = model.device.type == "cpu"
    schedule = "constant_with_warmup" if options.schedule == "constant" else options.schedule
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=options.max_steps,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=round(options.warmup_ratio * options.max_steps),
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        seed=options.seed,
        eval_strategy="steps" if judged else "no",
        eval_steps=options.eval_every,
        save_strategy="steps" if checkpoints else "no",
        save_steps=options.checkpoint_every,
        logging_strategy="steps",
        logging_steps=options.eval_every,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=not on_cpu,
        use_cpu=on_cpu,
        bf16=options.precision == "bfloat16",
    )
