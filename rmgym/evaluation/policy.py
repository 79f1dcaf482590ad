"""Whose episodes are judged: the seam between evaluation and whatever acts."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy.typing as npt

from rmgym.trees import Tree

State: TypeAlias = object
"""What a policy remembers between steps: None, or arrays ``[layers, n, ...]``."""


class Policy(Protocol):
    """Anything that acts: an SB3 agent, or your own."""

    def predict(self, observation: Tree, *, deterministic: bool) -> tuple[npt.NDArray[object], State]:  # type: ignore[type-var]
        """Actions ``[n, ...]`` for observations ``[n, ...]``, and what the policy remembers.

        That is None, or arrays ``[layers, n, ...]`` which the next call gets as ``state``. An agent that takes
        ``action_masks`` gets those of an environment that has them, ``bool [n, actions]``.
        """
        ...


class View(Protocol):
    """What a policy sees of one environment: what stands between the two in training (normalisation, frame stacks).

    Observations are batches of one, as :func:`rmgym.trees.stack` makes them.
    """

    def reset(self, observation: Tree) -> Tree:
        """Begin an episode."""
        ...

    def step(self, observation: Tree) -> Tree:
        """Go on with it."""
        ...


class PlainView:
    """Observations as they are."""

    def reset(self, observation: Tree) -> Tree:
        """See :class:`View`."""
        return observation

    def step(self, observation: Tree) -> Tree:
        """See :class:`View`."""
        return observation
