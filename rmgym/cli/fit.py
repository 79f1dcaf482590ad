"""``rmgym fit``: labels become a reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rmgym.cli.completion import model_names
from rmgym.cli.options import key_values
from rmgym.cli.output import AsJson, err, out, print_json, table
from rmgym.errors import FitError


def fit(
    db: Annotated[Path, typer.Option("--db", help="Labels of 'rmgym label', or a table of texts: chosen, rejected.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the model.")],
    model: Annotated[
        str, typer.Option(help="A reward model, see 'rmgym models'; or hf:FOLDER.", autocompletion=model_names)
    ] = "minilm",
    annotator: Annotated[str | None, typer.Option(help="Use the labels of one annotator only.")] = None,
    preset: Annotated[str | None, typer.Option(help="The model's size, where it has presets.")] = None,
    model_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the model; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, or any torch device.")] = "cpu",
    steps: Annotated[int | None, typer.Option(help="Optimiser steps (1500).")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; by default the model's own.")] = None,
    lm_lr: Annotated[float | None, typer.Option(help="Learning rate of a tuned language model (5e-5).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Labels per step (32 to 128, an eighth of all).")] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Loss of ratings: huber, mse, or of their order: ranknet, rank-mse, listmle (huber)."),
    ] = None,
    validation: Annotated[float | None, typer.Option(help="Share of labels held out, by episode (0.1).")] = None,
    steps_per_segment: Annotated[
        int | None, typer.Option(help="Score so many random steps of a segment per draw, not all.")
    ] = None,
    no_clean: Annotated[
        bool, typer.Option("--no-clean", help="Use all answers of a database, each as good as another.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights, order of labels and held-out episodes.")] = 0,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Permute the labels first: a control that must not work.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an earlier call left in --out.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew over it; a finished model stays until the new one is whole.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a reward model on labels."""
    options = key_values("--model-option", model_option or (), FitError)
    if preset is not None:
        options["preset"] = preset
    from rmgym.feedback.cleaning import Audit
    from rmgym.feedback.sources import labels_of
    from rmgym.models.registry import create_reward_model
    from rmgym.training import FitOptions
    from rmgym.training import fit as fit_model

    given = {
        "max_steps": steps,
        "learning_rate": lr,
        "lm_learning_rate": lm_lr,
        "batch_size": batch_size,
        "loss": loss,
        "validation": validation,
        "steps_per_segment": steps_per_segment,
    }
    how = FitOptions(
        seed=seed,
        shuffle_labels=shuffle_labels,
        **{key: value for key, value in given.items() if value is not None},  # type: ignore[arg-type]
    )
    labels = labels_of(db, annotator=annotator, clean=not no_clean)
    audit = Audit.of(labels.source)
    for line in [] if audit is None else audit.lines():
        err.print(line, markup=False, soft_wrap=True)
    network: Any = create_reward_model(model, seed=seed, **options)
    if hasattr(network, "to"):
        network = network.to(device)
    result = fit_model(network, labels, how, out=folder, resume=resume, overwrite=overwrite)
    if as_json:
        cleaning = None if audit is None else audit.to_json()
        about = {"model": result.model.describe(), "metrics": result.metrics, "cleaning": cleaning}
        print_json({"path": str(folder), **about})
    else:
        _report(result.metrics)
        out.print(f"saved to {folder}")


def _report(metrics: dict[str, Any]) -> None:
    """Fit and held-out scores side by side."""
    train, held_out = metrics["train"], metrics["validation"] or {}
    rows = [
        (name, _number(train[key]), _number(held_out.get(key)))
        for key, name in (
            ("labels", "labels"),
            ("r2", "R2"),
            ("spearman", "Spearman"),
            ("rmse", "RMS error"),
            ("accuracy", "pairs in order"),
        )
        if train[key] is not None
    ]
    out.print(table(("", "fitted on", "held out"), rows, right=("fitted on", "held out")))
    if metrics["note"]:
        out.print(metrics["note"])
    if metrics["contradictions"]:
        out.print(
            f"{metrics['contradictions']} labels have another value than one of the same text. If that is more than "
            "noise or chance, the text leaves out what they are about: 'rmgym envs ENV --check' counts such steps"
        )
    stopped = ", stopped early" if metrics["stopped_early"] else ""
    out.print(f"{metrics['steps']} steps{stopped}, best at {metrics['best_step']}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value}" if isinstance(value, int) else f"{value:.3f}"
