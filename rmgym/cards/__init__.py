"""Declarative cards: what an environment's numbers mean, and how an algorithm is set up.

A card is a TOML file and never code. Adding an environment or an algorithm is adding one file.
"""

from rmgym.cards.agent_schema import AgentCard as AgentCard
from rmgym.cards.agent_schema import EnvironmentOverride as EnvironmentOverride
from rmgym.cards.find import agent_cards as agent_cards
from rmgym.cards.find import env_cards as env_cards
from rmgym.cards.find import find_agent_card as find_agent_card
from rmgym.cards.find import find_env_card as find_env_card
from rmgym.cards.load import load_agent_card as load_agent_card
from rmgym.cards.load import load_env_card as load_env_card
from rmgym.cards.schema import EnvCard as EnvCard
from rmgym.cards.schema import Field as Field
from rmgym.cards.schema import Grid as Grid
from rmgym.cards.schema import LeftOut as LeftOut
from rmgym.cards.schema import Reference as Reference
from rmgym.cards.schema import Symmetry as Symmetry

__all__ = [
    "AgentCard",
    "EnvCard",
    "EnvironmentOverride",
    "Field",
    "Grid",
    "Reference",
    "Symmetry",
    "agent_cards",
    "env_cards",
    "find_agent_card",
    "find_env_card",
    "load_agent_card",
    "load_env_card",
]
