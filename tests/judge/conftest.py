"""Weights that judges are tested with."""

from tests.models.conftest import smollm2 as smollm2
