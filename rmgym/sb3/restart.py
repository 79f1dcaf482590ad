"""An agent begun anew at a checkpoint: what it does next depends on its parameters, its buffer and a seed alone."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


def restart(agent: BaseAlgorithm, seed: int) -> None:
    """Make what an agent does next depend on its parameters, its buffer and ``seed`` alone.

    Seeds every generator, resets every environment, draws new exploration noise. For the start of a rollout: SB3 cannot
    resume inside one. Running episodes are broken off there; a replay buffer is told so by a time limit at their end.

    Args:
        agent: an agent with an environment, inside ``learn``.
        seed: combined with the steps taken so far, so that each restart draws differently.
    """
    env = agent.env
    assert env is not None  # learn() has checked it
    mixed = int(np.random.SeedSequence([seed, agent.num_timesteps]).generate_state(1)[0]) >> 1
    agent.set_random_seed(mixed)
    observations = env.reset()
    # SB3 keeps where the environments are in these attributes and offers no other way to say that they were reset.
    agent._last_obs = observations  # type: ignore[assignment]  # VecEnv.reset may return a tuple, which no algorithm takes
    agent._last_episode_starts = np.ones(env.num_envs, bool)
    normalizer = agent.get_vec_normalize_env()
    if normalizer is not None:
        agent._last_original_obs = normalizer.get_original_obs()
    if agent.action_noise is not None:
        agent.action_noise.reset()
    if isinstance(agent, OffPolicyAlgorithm) and agent.replay_buffer is not None and agent.replay_buffer.size():
        last = (agent.replay_buffer.pos - 1) % agent.replay_buffer.buffer_size
        broken_off = agent.replay_buffer.dones[last] == 0
        agent.replay_buffer.dones[last] = 1
        agent.replay_buffer.timeouts[last, broken_off] = 1
    if agent.use_sde:  # learn() drew its noise matrices from the old state just before the rollout started
        if isinstance(agent, OnPolicyAlgorithm):
            agent.policy.reset_noise(env.num_envs)
        elif isinstance(agent, OffPolicyAlgorithm):
            agent.actor.reset_noise(env.num_envs)  # type: ignore[operator]  # a Module; SB3 ignores the same
