"""Ways to act before any agent has learned, for steps of more kinds than one to choose the first questions from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.errors import RunError, nearest
from rmgym.trees import Space, Value

if TYPE_CHECKING:
    from rmgym.specs import EnvSpec
    from rmgym.transitions import Transitions

Behaviour = Literal["random", "sticky", "networks"]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
SEEDS = "seeds"
"""In metadata: seeds of episodes by their numbers (as text), of those that do not go on from the one before."""
Policy = Callable[[Value], Value]
"""From an observation to an action that the environment takes."""


class Predicts(Protocol):
    """What acts as the agents of Stable-Baselines3 do."""

    def predict(self, observation: Value, *, deterministic: bool) -> tuple[Value, object]:
        """An action for an observation, and what the policy remembers, which is not asked for again."""
        ...


@runtime_checkable
class Player(Protocol):
    """Plays in an environment of its own: an agent, with all that stands between the two."""

    def play(self, env: EnvSpec, steps: int, seed: int) -> Transitions:
        """So many steps of a task, with the true reward.

        Under :data:`SEEDS` their metadata may say which episodes were begun with which seed; without it the steps
        cannot be taken again, to be drawn.

        Raises:
            RunError: it does not play there.
        """
        ...


Source: TypeAlias = "Policy | Predicts | Player | Behaviour"
"""Who takes steps."""
_STAY = 0.9
"""How likely a sticky action is taken again."""
_LIFE, _HIDDEN = 50, 32
"""Steps for which a network with random weights acts, and its width."""
_REACH = 3.0
"""Of actions without a bound."""


def acting(policy: Policy | Predicts | Behaviour, spaces: tuple[Space, Space], seed: int) -> Policy:
    """A policy as a function.

    Args:
        policy: a function, something with ``predict``, or the name of a behaviour.
        spaces: of the environment's observations and actions.
        seed: of a behaviour.

    Raises:
        RunError: it is none of these, or it sees normalised observations, which are not those of the environment.
    """
    if isinstance(policy, str):
        return behaviour(policy, *spaces, seed)
    if hasattr(policy, "predict"):
        normalizer = getattr(policy, "get_vec_normalize_env", lambda: None)()
        if normalizer is not None and normalizer.norm_obs:
            fix = "save it with rmgym.sb3.save_agent and pass rmgym.sb3.AgentPlayer(path)"
            raise RunError("a policy sees what the environment shows", got="one that normalises it", fix=fix)
        agent = cast("Predicts", policy)
        return lambda observation: agent.predict(observation, deterministic=False)[0]
    if not callable(policy):
        raise RunError("a policy is a function, has predict, or is named", got=policy, fix="pass policy='random'")
    return policy


def behaviour(name: str, observation_space: Space, action_space: Space, seed: int) -> Policy:
    """A policy that knows nothing of the task.

    ``random`` draws each action; ``sticky`` takes the last one again nine times of ten, which goes farther;
    ``networks`` acts by a network with random weights, another one every 50 steps: what it does depends on where it is.

    Args:
        name: one of ``BEHAVIOURS``.
        observation_space: of the environment.
        action_space: of the environment; ``networks`` draws actions where it is neither a Box nor Discrete, or where
            observations are no numbers (texts, graphs).
        seed: of everything that is drawn.

    Raises:
        RunError: there is no such behaviour.
    """
    if name not in BEHAVIOURS:
        raise RunError("a behaviour is known", got=name, fix=nearest(name, BEHAVIOURS))
    action_space.seed(seed)
    if name == "random":
        return lambda _: action_space.sample()
    rng = np.random.default_rng([seed, BEHAVIOURS.index(name)])
    return _Sticky(action_space, rng) if name == "sticky" else _Networks(observation_space, action_space, rng)


class _Sticky:
    """Takes an action several times."""

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space, self._rng, self._action = space, rng, space.sample()

    def __call__(self, _: Value) -> Value:
        if self._rng.random() >= _STAY:
            self._action = self._space.sample()
        return self._action


class _Networks:
    """Acts by one random network after the other."""

    def __init__(self, observations: Space, actions: Space, rng: np.random.Generator) -> None:
        self._observations, self._actions, self._rng = observations, actions, rng
        self._left, self._weights = 0, list[npt.NDArray[np.float64]]()
        try:
            self._sees = observations.is_np_flattenable
        except NotImplementedError:  # a space of others that does not say
            self._sees = False

    def __call__(self, observation: Value) -> Value:
        space = self._actions
        if not self._sees or not isinstance(space, gym.spaces.Box | gym.spaces.Discrete):
            return space.sample()
        seen = np.asarray(gym.spaces.flatten(self._observations, observation), np.float64).reshape(-1)
        if not self._left:
            outputs = int(space.n) if isinstance(space, gym.spaces.Discrete) else int(np.prod(space.shape))
            sizes = ((len(seen), _HIDDEN), (_HIDDEN, outputs))
            self._weights = [2 * self._rng.normal(size=size) / size[0] ** 0.5 for size in sizes]
            self._left = _LIFE
        self._left -= 1
        first, second = self._weights
        out = np.tanh((seen / (1 + np.abs(seen))) @ first) @ second
        if isinstance(space, gym.spaces.Discrete):
            return space.dtype.type(space.start + out.argmax())
        low = np.where(np.isfinite(space.low), space.low, -_REACH).reshape(-1)
        high = np.where(np.isfinite(space.high), space.high, _REACH).reshape(-1)
        action = low + (high - low) * (np.tanh(out) + 1) / 2
        return action.reshape(space.shape).astype(space.dtype)
