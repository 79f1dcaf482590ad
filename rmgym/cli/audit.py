"""``rmgym audit``: does the text of a step keep what a reward needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, out, print_json, table

if TYPE_CHECKING:
    from rmgym.runs.text_audit import Kept, TextAudit
    from rmgym.specs import EnvSpec


@takes_environment
def audit(
    env: EnvSpec,
    steps: Annotated[int, typer.Option(help="Steps to look at.")] = 3000,
    seed: Annotated[int, typer.Option(help="Another seed, other steps.")] = 0,
    backbone: Annotated[
        list[str] | None,
        typer.Option(help="Also ask the tokenizer of a language model: minilm, smollm2, hf:FOLDER; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Does the text of a step keep what a reward needs?

    What a card leaves out, rounds off or takes the sign of is lost to every reward model. Here each number of a step is
    read back from its text.
    """
    from rmgym.runs.text_audit import audit_texts

    audited = audit_texts(env, steps=steps, seed=seed, backbones=backbone or ())
    if as_json:
        print_json(audited.to_json())
        return
    _show(audited)


def _show(audited: TextAudit) -> None:
    from rich.text import Text

    from rmgym.progress import visible

    for finding in audited.findings:
        out.print(Text(visible(f"- {finding}"), style="yellow"))
    if not audited.findings:
        out.print("nothing that was looked at is lost")
    rows = [
        (kept.value, f"{kept.share:.3f}", f"{kept.error:.1g}", _verdict(kept))
        for kept in sorted(audited.kept, key=lambda kept: (kept.is_judged, kept.share))
    ]
    out.print(table(("value", "R² from the text", "error / std", ""), rows, right=("R² from the text", "error / std")))
    facts = [
        ("card", audited.card or "none: the text is made from the spaces"),
        ("steps", f"{audited.steps}; {audited.told_apart}"),
        ("texts", f"{audited.templates} templates, {audited.phrases} phrases, up to {audited.numbers} numbers"),
        ("longest", f"{audited.characters} characters"),
        *((f"tokens ({t.backbone})", f"{t.longest} at most, {t.unknown:.1%} unknown") for t in audited.tokens),
    ]
    out.print(table((audited.env, ""), facts))


def _verdict(kept: Kept) -> str:
    return "lost" if kept.is_lost else "" if kept.is_judged else "not judged"
