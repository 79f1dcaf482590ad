"""What late fusion knows of templates and phrases before any number is seen."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Reading:
    """Some templates and phrases as vectors of one size.

    Attributes:
        slots: of the slots for numbers, ``[T, S, size]``, zero where a template has fewer than ``S``.
        slot_counts: how many there are, ``int64 [T]``.
        word_slots: of the slots for phrases, ``[T, W, size]``, likewise.
        texts: of the whole templates, ``[T, size]``.
        phrases: ``[P, size]``.
        taken: for which of ``phrases`` each head takes each phrase that was asked for, ``int64 [P asked for, heads]``;
            None where that is itself.
        mean: of the numbers of each slot, as they were when the model was fitted, ``float64 [T, S]`` (on a device that
            knows none, ``float32``).
        spread: their standard deviations, likewise.
    """

    slots: Tensor
    slot_counts: Tensor
    word_slots: Tensor
    texts: Tensor
    phrases: Tensor
    mean: Tensor
    spread: Tensor
    taken: Tensor | None = None
