"""What a reward model says about a batch of steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Prediction:
    """What a reward model says about ``B`` texts.

    Attributes:
        mean: the reward, ``float32 [B]``, in the units of the ratings the model was fitted on
            (zero mean and unit variance on its training steps where only preferences were given).
        std: its uncertainty in the same units, ``float32 [B]``, never negative: disagreement between several heads,
            scaled to the error on ratings that heads were not given; of one head, the residual standard deviation on
            held-out labels; zero where nothing is known.
    """

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.mean)
