"""rmgym: language-model rewards for any Gymnasium environment, and a verdict on whether they are any good.

Names are imported where they are first used, so that ``import rmgym`` costs nothing: neither torch, transformers nor
Stable-Baselines3 is loaded by it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from rmgym.forks import survive_forks

if TYPE_CHECKING:
    from rmgym import errors as errors
    from rmgym import sb3 as sb3
    from rmgym.composition import Composition as Composition
    from rmgym.distillation.distil import distil as distil
    from rmgym.distillation.student import Student as Student
    from rmgym.distillation.student_options import StudentOptions as StudentOptions
    from rmgym.environments import collect as collect
    from rmgym.environments.fixed_horizon import FixedHorizonWrapper as FixedHorizonWrapper
    from rmgym.environments.raw_observation import RawObservation as RawObservation
    from rmgym.environments.trajectories import transitions_of as transitions_of
    from rmgym.feedback.exchange import export_labels as export_labels
    from rmgym.feedback.labelling import label as label
    from rmgym.feedback.labels import Labels as Labels
    from rmgym.feedback.labels import Preferences as Preferences
    from rmgym.feedback.labels import Ratings as Ratings
    from rmgym.feedback.preprocess import describe_pair as describe_pair
    from rmgym.feedback.preprocess import preprocess as preprocess
    from rmgym.feedback.queries import select_steps as select_steps
    from rmgym.feedback.store import LabelStore as LabelStore
    from rmgym.feedback.teachers.base import Teacher as Teacher
    from rmgym.feedback.teachers.program import ProgramTeacher as ProgramTeacher
    from rmgym.feedback.teachers.scripted import ScriptedTeacher as ScriptedTeacher
    from rmgym.models import Prediction as Prediction
    from rmgym.models import RewardModel as RewardModel
    from rmgym.models import create_reward_model as create_reward_model
    from rmgym.models import load_reward_model as load_reward_model
    from rmgym.runs.loop import loop as loop
    from rmgym.runs.model_check import check_model as check_model
    from rmgym.scoring import CachedReward as CachedReward
    from rmgym.text import TextBatch as TextBatch
    from rmgym.text import textualizer as textualizer
    from rmgym.training import FitOptions as FitOptions
    from rmgym.training import fit as fit
    from rmgym.transitions import Transitions as Transitions
    from rmgym.wrappers import CaptionWrapper as CaptionWrapper
    from rmgym.wrappers import LearnedRewardVectorWrapper as LearnedRewardVectorWrapper
    from rmgym.wrappers import LearnedRewardWrapper as LearnedRewardWrapper

__version__ = _version("rmgym")
survive_forks()

_HOME = {
    "CachedReward": "rmgym.scoring",
    "CaptionWrapper": "rmgym.wrappers",
    "Composition": "rmgym.composition",
    "FitOptions": "rmgym.training",
    "FixedHorizonWrapper": "rmgym.environments.fixed_horizon",
    "LabelStore": "rmgym.feedback.store",
    "Labels": "rmgym.feedback.labels",
    "LearnedRewardVectorWrapper": "rmgym.wrappers",
    "LearnedRewardWrapper": "rmgym.wrappers",
    "Prediction": "rmgym.models",
    "Preferences": "rmgym.feedback.labels",
    "ProgramTeacher": "rmgym.feedback.teachers.program",
    "Ratings": "rmgym.feedback.labels",
    "RawObservation": "rmgym.environments.raw_observation",
    "RewardModel": "rmgym.models",
    "ScriptedTeacher": "rmgym.feedback.teachers.scripted",
    "Student": "rmgym.distillation.student",
    "StudentOptions": "rmgym.distillation.student_options",
    "Teacher": "rmgym.feedback.teachers.base",
    "TextBatch": "rmgym.text",
    "Transitions": "rmgym.transitions",
    "check_model": "rmgym.runs.model_check",
    "collect": "rmgym.environments",
    "create_reward_model": "rmgym.models",
    "describe_pair": "rmgym.feedback.preprocess",
    "distil": "rmgym.distillation.distil",
    "export_labels": "rmgym.feedback.exchange",
    "fit": "rmgym.training",
    "label": "rmgym.feedback.labelling",
    "load_reward_model": "rmgym.models",
    "loop": "rmgym.runs.loop",
    "preprocess": "rmgym.feedback.preprocess",
    "select_steps": "rmgym.feedback.queries",
    "textualizer": "rmgym.text",
    "transitions_of": "rmgym.environments.trajectories",
}
"""Where each public name lives."""
_SUBMODULES = ("errors", "sb3")

__all__ = [
    "CachedReward",
    "CaptionWrapper",
    "Composition",
    "FitOptions",
    "FixedHorizonWrapper",
    "LabelStore",
    "Labels",
    "LearnedRewardVectorWrapper",
    "LearnedRewardWrapper",
    "Prediction",
    "Preferences",
    "ProgramTeacher",
    "Ratings",
    "RawObservation",
    "RewardModel",
    "ScriptedTeacher",
    "Student",
    "StudentOptions",
    "Teacher",
    "TextBatch",
    "Transitions",
    "__version__",
    "check_model",
    "collect",
    "create_reward_model",
    "describe_pair",
    "distil",
    "errors",
    "export_labels",
    "fit",
    "label",
    "load_reward_model",
    "loop",
    "preprocess",
    "sb3",
    "select_steps",
    "textualizer",
    "transitions_of",
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
