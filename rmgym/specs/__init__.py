"""A user's settings as values: what an environment, a reward, an agent and a run are.

Each is frozen, compares by value, becomes JSON (``to_json``) and comes back from it (``from_json``), where a misspelt
key is refused. They are what ``run.json``, ``agent.rmgym``, suites and the command line's shared options are made of.
"""

from rmgym.specs.agent import AgentSpec as AgentSpec
from rmgym.specs.agent import When as When
from rmgym.specs.environment import EnvSpec as EnvSpec
from rmgym.specs.environment import Layer as Layer
from rmgym.specs.reward import RewardSpec as RewardSpec
from rmgym.specs.run import RunSpec as RunSpec

__all__ = ["AgentSpec", "EnvSpec", "Layer", "RewardSpec", "RunSpec", "When"]
