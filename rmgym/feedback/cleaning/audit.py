"""What cleaning did with the answers of a label database: what was set aside, whose, how many, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

What = Literal["off the scale", "duplicate", "contradiction", "constant", "reversed", "by chance", "cycle"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Answers that were set aside for one reason.

    Attributes:
        what: that reason.
        annotator: whose answers they are; None where they are several people's.
        answers: their ids in the database, ascending.
        why: the reason in words, with its numbers.
    """

    what: What
    annotator: str | None
    answers: tuple[int, ...]
    why: str

    def __str__(self) -> str:
        whose = "" if self.annotator is None else f" of {self.annotator}"
        return f"{self.what}: {len(self.answers)}{whose}: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What cleaning came to.

    Attributes:
        answers: how many there were.
        findings: what was set aside.
        notes: what else became of them, or would be good to know.
    """

    answers: int
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def set_aside(self) -> frozenset[int]:
        """Ids of the answers that no label is made of."""
        return frozenset(answer for finding in self.findings for answer in finding.answers)

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Audit | None:
        """What the source of labels says of their cleaning (:attr:`rmgym.Labels.source`); None if it was left out."""
        if (content := source.get("cleaning")) is None:
            return None
        findings = tuple(
            Finding(what=f["what"], annotator=f["annotator"], answers=tuple(f["answers"]), why=f["why"])
            for f in content["findings"]
        )
        return cls(answers=content["answers"], findings=findings, notes=tuple(content["notes"]))

    def to_json(self) -> dict[str, Any]:
        """As plain values, for records."""
        findings = [{**asdict(finding), "answers": [*finding.answers]} for finding in self.findings]
        return {
            "answers": self.answers,
            "set_aside": len(self.set_aside),
            "findings": findings,
            "notes": [*self.notes],
        }

    def lines(self) -> list[str]:
        """In words, a line for each finding and note; none where nothing was found."""
        head = f"cleaning: {len(self.set_aside)} of {self.answers} answers are set aside; all stay in the database"
        return [*([head] if self.findings else []), *(f"  {entry}" for entry in (*self.findings, *self.notes))]
