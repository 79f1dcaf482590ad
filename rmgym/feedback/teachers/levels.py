"""Rating levels: exact values cut into 1, 2, ..., as a person would rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Edges = Literal["width", "quantile"]
EDGES = ("width", "quantile")


def cut_points(values: npt.NDArray[np.float64], levels: int, edges: Edges) -> tuple[float, ...]:
    """Where levels end.

    They belong to whoever rates, not to one call: ratings of different cuts say different things by one number.

    Args:
        values: exact values, ``[N]``, at least one.
        levels: number of levels, at least 2.
        edges: ``"width"`` cuts the range of the values into equal widths, ``"quantile"`` puts about as many of the
            values into each level. Where all values are equal, both put them into the middle of levels of width 1.

    Returns:
        ``levels - 1`` ascending values.
    """
    inner = np.arange(1, levels) / levels
    if np.ptp(values) == 0:
        return tuple((values[0] + levels * (inner - 0.5)).tolist())
    cuts = np.quantile(values, inner) if edges == "quantile" else values.min() + np.ptp(values) * inner
    return tuple(cuts.tolist())


def levels_of(values: npt.NDArray[np.float64], cuts: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Levels 1 to ``len(cuts) + 1`` of values, ``float32 [N]``; a value on a cut is in the level above it."""
    level: npt.NDArray[np.int64] = np.searchsorted(np.array(cuts), values, side="right") + 1
    return level.astype(np.float32)
