"""What the library's models are compared with; fitted by :func:`rmgym.fit` in the same loop with the same options."""

from __future__ import annotations

from rivals.plain_mlp import PlainMlp as PlainMlp
from rivals.transformer import TransformerReward as TransformerReward
