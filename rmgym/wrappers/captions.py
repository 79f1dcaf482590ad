"""Pictures in words: the captioner that an environment brings along, so that every text made of it finds it."""

from __future__ import annotations

import gymnasium as gym

from rmgym.environments.kinds import Env, Wrapper
from rmgym.errors import TextError
from rmgym.text.ragged import Captioner


class CaptionWrapper(Wrapper, gym.utils.RecordConstructorArgs):
    """Say of an environment with pictures who puts them into words; nothing else changes.

    :func:`rmgym.textualizer`, and with it every wrapper, reads ``captioner`` of the environment. So that agents and
    evaluations, which make environments from their id, have it too, register an id whose entry point returns the
    wrapped environment. It belongs inside the learned reward.

    Args:
        env: the environment.
        captioner: from pictures ``uint8 [B, H, W, C]`` to ``B`` strings, deterministic, independent of the batch. Its
            ``identity`` (a string; by default its qualified name) becomes part of the text's hash.

    Raises:
        TextError: ``captioner`` cannot be called.

    Example:
        >>> import gymnasium as gym, numpy as np, rmgym
        >>> class Camera(gym.Env):
        ...     observation_space, action_space = gym.spaces.Box(0, 255, (9, 8, 3), np.uint8), gym.spaces.Discrete(2)
        >>> env = rmgym.CaptionWrapper(Camera(), lambda pictures: [f"brightness {p.mean():.1f}" for p in pictures])
        >>> dark = np.zeros((9, 8, 3), np.uint8)
        >>> rmgym.textualizer(env).describe(dark, 1, dark).split("State: ")[1]
        'value: "brightness 0.0". Action: choice: one. Next state: value: "brightness 0.0". The episode goes on.'
    """

    def __init__(self, env: Env, captioner: Captioner) -> None:
        if not callable(captioner):
            raise TextError("a captioner is a function of pictures", got=captioner, fix="pass a function")
        gym.utils.RecordConstructorArgs.__init__(self, captioner=captioner)
        gym.Wrapper.__init__(self, env)
        self.captioner = captioner
