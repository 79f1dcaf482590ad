"""Deferred scoring in the buffers that sb3-contrib has for RecurrentPPO and MaskablePPO."""

from __future__ import annotations

from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer, RecurrentRolloutBuffer
from stable_baselines3.common.buffers import BaseBuffer

from rmgym.sb3.buffers import DeferredRolloutBuffer


class DeferredRecurrentRolloutBuffer(DeferredRolloutBuffer, RecurrentRolloutBuffer):
    """A deferred rollout buffer with LSTM states."""


class DeferredRecurrentDictRolloutBuffer(DeferredRolloutBuffer, RecurrentDictRolloutBuffer):
    """A deferred rollout buffer with LSTM states, for Dict observations."""


class DeferredMaskableRolloutBuffer(DeferredRolloutBuffer, MaskableRolloutBuffer):
    """A deferred rollout buffer with action masks."""


class DeferredMaskableDictRolloutBuffer(DeferredRolloutBuffer, MaskableDictRolloutBuffer):
    """A deferred rollout buffer with action masks, for Dict observations."""


DEFERRED: dict[type[BaseBuffer], type[DeferredRolloutBuffer]] = {
    RecurrentRolloutBuffer: DeferredRecurrentRolloutBuffer,
    RecurrentDictRolloutBuffer: DeferredRecurrentDictRolloutBuffer,
    MaskableRolloutBuffer: DeferredMaskableRolloutBuffer,
    MaskableDictRolloutBuffer: DeferredMaskableDictRolloutBuffer,
}
"""What takes the place of sb3-contrib's own buffers."""
