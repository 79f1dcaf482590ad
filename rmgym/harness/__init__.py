"""Agents that train on a learned reward, and what becomes of the true one.

``collect`` needs no SB3. What does is in ``rmgym.sb3`` and in the modules ``evaluate`` and ``train``.
"""

from rmgym.harness.collect import collect as collect
