"""How closely a student follows the model it stands in for, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from rmgym.errors import ModelError
from rmgym.options import read_options


@dataclass(frozen=True, kw_only=True)
class StudentOptions:
    """How a student stands in for a slow model.

    Attributes:
        tolerance: largest root mean square error of the student on audited texts, and largest disagreement of its heads
            on any text, in units of the standard deviation of the model's scores. 0 asks the model always.
        audit: share of every batch that is audited, at random; after each fit more, until it can be judged.
        warmup: texts that the model scores before there is a student.
        student: name of the student's model; it has several heads, whose disagreement is its uncertainty.
        student_options: of that model.
        fit_steps: optimiser steps of each fit.
        remembered: texts with the model's scores that are kept, the latest.
        seed: of the sample and of the fits.

    Raises:
        ModelError: a value is impossible.
    """

    tolerance: float = 0.1
    audit: float = 1 / 256
    warmup: int = 1024
    student: str = "ensemble"
    student_options: Mapping[str, Any] = field(default_factory=lambda: {"heads": 3, "width": 64})
    fit_steps: int = 600
    remembered: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < float("inf"):
            raise ModelError("a tolerance is a number of at least 0", got=self.tolerance, fix="try 0.1")
        if not 0 < self.audit <= 1:
            raise ModelError("the audited share is in (0, 1]", got=self.audit, fix="try 1/256")
        for name in ("warmup", "fit_steps", "remembered"):
            if getattr(self, name) < 2:
                raise ModelError(f"{name} is at least 2", got=getattr(self, name), fix="leave it out")

    @classmethod
    def of(
        cls, value: StudentOptions | Mapping[str, object] | Literal[True] | None, *, seed: int = 0
    ) -> StudentOptions | None:
        """The options of whatever says that there is a student; None where there is none.

        Args:
            value: options, a mapping of them (as a run's record holds it), True for the default, or None.
            seed: where the value does not say one.

        Raises:
            ModelError: an option is unknown or impossible.
        """
        if value is None or isinstance(value, StudentOptions):
            return value
        if value is True:
            return cls(seed=seed)
        if not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError("a student is True, options or a mapping of them", got=value, fix="pass student=True")
        return read_options(cls, {"seed": seed, **value}, "student")

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON-able values; :meth:`of` takes them back."""
        return asdict(replace(self, student_options=dict(self.student_options)))
