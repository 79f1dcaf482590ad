"""``rmgym export``: labels as tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rmgym.cli.output import AsJson, err, out, print_json


def export(
    labels: Annotated[Path, typer.Argument(help="Label database of 'rmgym label', or a table of texts.")],
    to: Annotated[
        Path,
        typer.Argument(help="A file (.csv, .jsonl, .parquet), or without ending a folder for datasets.load_from_disk."),
    ],
    content: Annotated[
        Literal["answers", "ratings", "pairs"] | None,
        typer.Option(
            help="Rows: 'pairs' of texts, chosen and rejected, as TRL takes them; 'ratings' of texts; or 'answers' as "
            "they were given, with who gave them. By default pairs or ratings, whichever there are."
        ),
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="Labels of one annotator only.")] = None,
    no_clean: Annotated[
        bool, typer.Option("--no-clean", help="Use all answers of a database, each as good as another.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let them take the place of what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write labels as a table for other programs.

    Pairs and ratings have a row per question, with one label of all who answered it.
    """
    from rmgym.feedback.exchange import export_labels

    written = export_labels(labels, to, content=content, annotator=annotator, clean=not no_clean, overwrite=overwrite)
    for line in written.cleaning:
        err.print(line, markup=False, soft_wrap=True)
    if as_json:
        print_json({**vars(written), "path": str(written.path)})
        return
    counts = {"ties": written.ties, "comparisons of equal texts": written.alike, "skipped": written.skipped}
    counts["set aside"] = written.set_aside
    without = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    left_out = f" ({'with' if written.content == 'answers' else 'left out:'} {without})" if without else ""
    out.print(f"{written.rows} {written.content}{left_out} -> {written.path}", markup=False, soft_wrap=True)
