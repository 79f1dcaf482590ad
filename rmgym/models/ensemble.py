"""Several reward heads on one language model: the LM is shared, so a head costs as much as a small Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rmgym.models.language_model import LanguageModelReward


class EnsembleRewardModel(LanguageModelReward):
    """Five heads on MiniLM; the mean is their average and the std their disagreement (Christiano et al. 2017)."""

    name: ClassVar[str] = "ensemble"
    defaults: ClassVar[Mapping[str, Any]] = {"heads": 5}
