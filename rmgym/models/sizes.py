"""Weights beside the configuration that came with them: whether they fit is found out before any memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from rmgym.errors import ModelError

_FIX = "save the model again"
_FLOATS = (torch.float32, torch.bfloat16, torch.float16)
"""What weights that are float32 may be saved in: a model saves what it has when it is saved."""


def check_sizes(make: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights of other sizes than the configuration states, which may be those of petabytes.

    Args:
        make: makes the model, or parts of it by their names in it; here it is called where tensors have no memory.
        tensors: what was saved.

    Raises:
        ModelError: one is missing or of another shape.
    """
    try:
        with torch.device("meta"):
            wanted = make().state_dict()
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise misfit(f"sizes that no model has: {error}") from error
    for name, weight in wanted.items():
        if name not in tensors:
            raise misfit(f"no {name} {list(weight.shape)}")
        if tensors[name].shape != weight.shape:
            raise misfit(f"{name} {list(tensors[name].shape)} instead of {list(weight.shape)}")


def check_count(option: str, count: int, tensors: Mapping[str, Tensor]) -> None:
    """Refuse more parts of a kind than there are weights: making them would never end.

    Raises:
        ModelError: there are more.
    """
    if count > len(tensors):
        raise misfit(f"{option}={count} beside {len(tensors)} tensors")


def check_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other dtypes or shapes than a model has, which torch would turn into those.

    Where it has float32, lower precision is its own too.

    Raises:
        ModelError: there is one.
    """
    for name, weight in model.state_dict().items():
        if name in tensors and tensors[name].shape != weight.shape:
            raise misfit(f"{name} {list(tensors[name].shape)} instead of {list(weight.shape)}")
        given = tensors[name].dtype if name in tensors else weight.dtype
        if given != weight.dtype and not (weight.dtype in _FLOATS and given in _FLOATS):
            raise misfit(f"{name} of {given} instead of {weight.dtype}")


def misfit(got: str) -> ModelError:
    """What is to be said of weights that do not fit."""
    return ModelError("weights fit the configuration", got=got, fix=_FIX)
