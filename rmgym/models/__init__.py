"""What is a step worth? One file per reward model."""

from rmgym.models.base import Prediction as Prediction
from rmgym.models.base import RewardModel as RewardModel
from rmgym.models.registry import available_models as available_models
from rmgym.models.registry import create_reward_model as create_reward_model
from rmgym.models.registry import load_reward_model as load_reward_model

__all__ = ["Prediction", "RewardModel", "available_models", "create_reward_model", "load_reward_model"]
