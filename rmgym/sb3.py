"""Learned rewards for Stable-Baselines3: everything that is meant to be imported from here."""

from rmgym.harness.agents import exchange_reward_model as exchange_reward_model
from rmgym.harness.agents import make_agent as make_agent
from rmgym.harness.agents import score_rollouts as score_rollouts
from rmgym.harness.callbacks import RewardComparisonCallback as RewardComparisonCallback
from rmgym.harness.evaluate import Comparison as Comparison
from rmgym.harness.evaluate import evaluate as evaluate
from rmgym.harness.saving import load_agent as load_agent
from rmgym.harness.saving import save_agent as save_agent
from rmgym.wrappers.sb3_vec_env import LearnedRewardVecEnv as LearnedRewardVecEnv
