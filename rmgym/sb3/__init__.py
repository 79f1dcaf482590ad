"""Learned rewards for Stable-Baselines3: everything that is meant to be imported from here.

``make_agent`` makes an agent with an algorithm's tuned hyperparameters, ``score_rollouts`` gives one of yours a learned
reward, ``LearnedRewardVecEnv`` gives a VecEnv one; ``RewardComparisonCallback`` and ``evaluate`` show both returns.
"""

from rmgym.evaluation.evaluate import Comparison as Comparison
from rmgym.sb3.agents import exchange_reward_model as exchange_reward_model
from rmgym.sb3.agents import make_agent as make_agent
from rmgym.sb3.agents import score_rollouts as score_rollouts
from rmgym.sb3.callbacks import RewardComparisonCallback as RewardComparisonCallback
from rmgym.sb3.evaluation import evaluate as evaluate
from rmgym.sb3.player import AgentPlayer as AgentPlayer
from rmgym.sb3.saving import load_agent as load_agent
from rmgym.sb3.saving import save_agent as save_agent
from rmgym.sb3.vec_env import LearnedRewardVecEnv as LearnedRewardVecEnv

__all__ = [
    "AgentPlayer",
    "Comparison",
    "LearnedRewardVecEnv",
    "RewardComparisonCallback",
    "evaluate",
    "exchange_reward_model",
    "load_agent",
    "make_agent",
    "save_agent",
    "score_rollouts",
]
