"""rmgym: language-model rewards for any Gymnasium environment, and a verdict on whether they are any good.

Names are imported where they are first used, so that ``import rmgym`` costs nothing: neither torch, transformers nor
Stable-Baselines3 is loaded by it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmgym import errors as errors
    from rmgym import sb3 as sb3
    from rmgym.feedback.preprocess import describe_pair as describe_pair
    from rmgym.feedback.preprocess import preprocess as preprocess
    from rmgym.feedback.store import LabelStore as LabelStore
    from rmgym.feedback.teachers import ScriptedTeacher as ScriptedTeacher
    from rmgym.harness import collect as collect
    from rmgym.models import Prediction as Prediction
    from rmgym.models import RewardModel as RewardModel
    from rmgym.models import create_reward_model as create_reward_model
    from rmgym.models import load_reward_model as load_reward_model
    from rmgym.scoring import CachedReward as CachedReward
    from rmgym.scoring.amortised import AmortisedOptions as AmortisedOptions
    from rmgym.scoring.amortised import AmortisedReward as AmortisedReward
    from rmgym.scoring.backends import choose_backend as choose_backend
    from rmgym.scoring.distil import distil as distil
    from rmgym.text import TextBatch as TextBatch
    from rmgym.text import textualizer as textualizer
    from rmgym.training import FitOptions as FitOptions
    from rmgym.training import fit as fit
    from rmgym.transitions import Transitions as Transitions
    from rmgym.wrappers import CaptionWrapper as CaptionWrapper
    from rmgym.wrappers import Composition as Composition
    from rmgym.wrappers import FixedHorizonWrapper as FixedHorizonWrapper
    from rmgym.wrappers import LearnedRewardVectorWrapper as LearnedRewardVectorWrapper
    from rmgym.wrappers import LearnedRewardWrapper as LearnedRewardWrapper

__version__ = _version("rmgym")

_HOME = {
    "AmortisedOptions": "rmgym.scoring.amortised",
    "AmortisedReward": "rmgym.scoring.amortised",
    "CachedReward": "rmgym.scoring",
    "CaptionWrapper": "rmgym.wrappers",
    "Composition": "rmgym.wrappers",
    "FitOptions": "rmgym.training",
    "FixedHorizonWrapper": "rmgym.wrappers",
    "LabelStore": "rmgym.feedback.store",
    "LearnedRewardVectorWrapper": "rmgym.wrappers",
    "LearnedRewardWrapper": "rmgym.wrappers",
    "Prediction": "rmgym.models",
    "RewardModel": "rmgym.models",
    "ScriptedTeacher": "rmgym.feedback.teachers",
    "TextBatch": "rmgym.text",
    "Transitions": "rmgym.transitions",
    "choose_backend": "rmgym.scoring.backends",
    "collect": "rmgym.harness",
    "create_reward_model": "rmgym.models",
    "describe_pair": "rmgym.feedback.preprocess",
    "distil": "rmgym.scoring.distil",
    "fit": "rmgym.training",
    "load_reward_model": "rmgym.models",
    "preprocess": "rmgym.feedback.preprocess",
    "textualizer": "rmgym.text",
}
"""Where each public name lives."""
_SUBMODULES = ("errors", "sb3")

__all__ = [
    "AmortisedOptions",
    "AmortisedReward",
    "CachedReward",
    "CaptionWrapper",
    "Composition",
    "FitOptions",
    "FixedHorizonWrapper",
    "LabelStore",
    "LearnedRewardVectorWrapper",
    "LearnedRewardWrapper",
    "Prediction",
    "RewardModel",
    "ScriptedTeacher",
    "TextBatch",
    "Transitions",
    "__version__",
    "choose_backend",
    "collect",
    "create_reward_model",
    "describe_pair",
    "distil",
    "errors",
    "fit",
    "load_reward_model",
    "preprocess",
    "sb3",
    "textualizer",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562)."""
    if name in _SUBMODULES:
        return import_module(f"rmgym.{name}")
    if name in _HOME:
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
        return value
    raise AttributeError(f"module 'rmgym' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
