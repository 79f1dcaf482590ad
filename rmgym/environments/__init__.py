"""Environments as they are: made, looked into, played for data."""

from rmgym.environments.collect import collect as collect
from rmgym.environments.make import make_env as make_env

__all__ = ["collect", "make_env"]
