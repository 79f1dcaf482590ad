"""What the shell offers after Tab: ids of environments, names of agent cards and of reward models."""

from __future__ import annotations


def environment_ids(incomplete: str) -> list[str]:
    """Registered ids that begin so; of several versions all."""
    import gymnasium

    return sorted(name for name in gymnasium.registry if name.startswith(incomplete))


def agent_names(incomplete: str) -> list[str]:
    """Agent cards whose name begins so."""
    from rmgym.cards import agent_cards

    return [card.name for card in agent_cards() if card.name.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Built-in reward models whose name begins so."""
    from rmgym.models.registry import available_models

    return [name for name in available_models() if name.startswith(incomplete)]
