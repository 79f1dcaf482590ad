"""``rmgym models``: what reward models are built in, and what a fitted one is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rmgym.cli.output import AsJson, out, print_json, table
from rmgym.errors import ModelError, nearest
from rmgym.models.files import read_manifest
from rmgym.models.registry import available_models


def models(
    model: Annotated[
        str | None, typer.Argument(help="A built-in name or a model's folder; without one, all are listed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List built-in reward models, or describe a fitted one."""
    built_in = available_models()
    if model is not None and model not in built_in:
        if not Path(model).exists():
            raise ModelError("a reward model is a built-in name or a folder", got=model, fix=nearest(model, built_in))
        manifest = read_manifest(model)
        if as_json:
            print_json(manifest)
        else:
            rows = [(key, str(value)) for key, value in manifest.items() if key not in ("files", "sha256")]
            out.print(table((model, ""), rows))
        return
    chosen = built_in if model is None else {model: built_in[model]}
    if as_json:
        print_json([{"name": name, "about": about} for name, about in chosen.items()])
    else:
        out.print(table(("name", "what it is"), list(chosen.items())))
