"""How a language model reads a step: the template once, or every text in full."""

from __future__ import annotations

from rmgym.models.backbones.backbone import Backbone
from rmgym.models.language_options import LanguageModelConfig
from rmgym.models.number_features import LOW_FREQUENCIES
from rmgym.models.readers.base import HeadInputs as HeadInputs
from rmgym.models.readers.base import Reader as Reader
from rmgym.models.readers.digits import DigitsReader
from rmgym.models.readers.early import EarlyReader
from rmgym.models.readers.late import LateReader as LateReader


def make_reader(config: LanguageModelConfig, backbone: Backbone) -> Reader:
    """The reader that a model's options name under ``fusion``."""
    if config.fusion == "late":
        return LateReader(backbone.state_size)
    if config.fusion == "early":
        return EarlyReader(backbone.state_size, config.frequencies or LOW_FREQUENCIES, causal=backbone.causal)
    return DigitsReader(backbone.state_size)
