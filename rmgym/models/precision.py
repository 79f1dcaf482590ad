"""Scores, and whatever is kept to make them, are computed in a model's own precision, whoever asks and from where."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def own_precision(device: torch.device) -> Generator[None]:
    """Compute in the precision of the tensors: ``torch.autocast`` around the call does not reach inside.

    Otherwise a model's score would depend on who asks, and no digest would say so.
    """
    with torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def for_keeps(device: torch.device) -> Generator[None]:
    """Compute what outlives the call: without gradients, in its own precision, and not as inference tensors.

    A later fit differentiates through what uses a kept tensor, which torch refuses for inference tensors.
    """
    with torch.inference_mode(False), torch.no_grad(), own_precision(device):
        yield
