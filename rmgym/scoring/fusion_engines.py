"""Engines for the heads of late fusion: ``torch.compile``, ONNX Runtime, OpenVINO, and lower precision.

An engine is built for steps of so many numbers, as many as the texts that it is tried on have; the others are computed
by torch. Which of the two computes a step so depends on its text alone, and its score on nobody else's.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rmgym.models.heads import Heads
from rmgym.models.heads.fusion import FusionHead
from rmgym.models.readers import HeadInputs

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""``(slots, text, template_index, values)`` of :class:`FusionHead`, of steps that miss no number."""
Run = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From :data:`Inputs` to rewards ``[B]``."""
Untyped = Any
"""Of packages without types: onnx, onnxruntime, openvino, and what ``torch.compile`` returns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FusionEngine:
    """See :class:`rmgym.models.heads.Engine`.

    Attributes:
        name: of the engine.
        runs: one for each head.
        numbers: how many a step has that it computes.
    """

    name: str
    runs: Sequence[Run]
    numbers: int

    def __call__(self, heads: Heads, inputs: HeadInputs) -> Tensor:
        """See :class:`rmgym.models.heads.Engine`."""
        slots, text, index, values, mask = inputs
        assert slots is not None  # only what is missing is None, and only the mask may be
        assert text is not None
        assert index is not None
        assert values is not None
        width = values.shape[1]
        if mask is None:
            return self._run((slots, text, index, values)) if width == self.numbers else heads(*inputs)
        mine = mask.sum(dim=1) == self.numbers
        rewards = values.new_empty(len(values), len(self.runs))
        if bool(mine.any()):
            narrow = slots[:, : self.numbers].contiguous(), text, index[mine], values[mine, : self.numbers].contiguous()
            rewards[mine] = self._run(narrow)
        if not bool(mine.all()):
            rewards[~mine] = heads(slots, text, index[~mine], values[~mine], mask[~mine])
        return rewards

    def _run(self, inputs: Inputs) -> Tensor:
        return torch.stack([run(*inputs) for run in self.runs], dim=1)


def build(name: str, heads: Heads, inputs: HeadInputs) -> FusionEngine:
    """Build the engine of that name (not ``eager``, which is none).

    Args:
        name: one of :data:`BUILDERS`.
        heads: finished fusion heads on a CPU.
        inputs: what they get for some texts of one template.

    Raises:
        ImportError: its package is not installed.
        RuntimeError: it cannot be built here.
        OSError: likewise.
    """
    slots, text, index, values, mask = inputs
    assert mask is None  # texts of one template have as many numbers
    some: Any = (slots, text, index, values)
    assert values is not None
    runs = [BUILDERS[name](head, some) for head in heads if isinstance(head, FusionHead)]
    return FusionEngine(name=name, runs=runs, numbers=values.shape[1])


def _compile(head: FusionHead, inputs: Inputs) -> Run:
    del inputs
    compiled: Untyped = torch.compile(head, dynamic=True)
    return lambda slots, text, index, values: compiled(slots, text, index, values, None)


def _bfloat16(head: FusionHead, inputs: Inputs) -> Run:
    del inputs
    half = copy.deepcopy(head).to(torch.bfloat16)

    def run(slots: Tensor, text: Tensor, index: Tensor, values: Tensor) -> Tensor:
        rewards: Tensor = half(slots.bfloat16(), text.bfloat16(), index, values, None)
        return rewards.float()

    return run


def _onnx(head: FusionHead, inputs: Inputs) -> Run:
    with _exported(head, inputs) as file:
        return _session(file)


def _int8(head: FusionHead, inputs: Inputs) -> Run:
    """The blocks' matrix products in 8 bits; number features and reward stay in float.

    The ranges of what is multiplied are measured once, on the texts that the engine is tried on. Were they measured
    anew in every batch, a score would depend on the others in it.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Once(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        """Gives all texts as one batch."""

        def __init__(self, names: Sequence[str]) -> None:
            self.left = [dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True))]

        # At the end, onnxruntime's own readers return None too, whatever their base says.
        def get_next(  # pyright: ignore[reportIncompatibleMethodOverride]
            self,
        ) -> dict[str, npt.NDArray[np.generic]] | None:
            """The next batch; None at the end."""
            return self.left.pop() if self.left else None

    with _exported(head, inputs, plain=True) as file:
        small = file.with_name("int8.onnx")
        quantize_static(
            str(file),
            str(small),
            Once(_input_names(file)),
            nodes_to_quantize=_block_products(file),
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return _session(small)


def _openvino(head: FusionHead, inputs: Inputs) -> Run:
    import openvino

    with _exported(head, inputs) as file:
        core: Untyped = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        request = core.compile_model(core.read_model(str(file)), "CPU", settings).create_infer_request()

    def run(*given: Tensor) -> Tensor:
        answer = request.infer([tensor.numpy() for tensor in given])
        return torch.from_numpy(next(iter(answer.values())).copy())

    return run


BUILDERS: dict[str, Callable[[FusionHead, Inputs], Run]] = {
    "compile": _compile,
    "onnx": _onnx,
    "openvino": _openvino,
    "bfloat16": _bfloat16,
    "int8": _int8,
}
"""From one head, and what it gets for some texts, to what computes it."""


class _Unmasked(nn.Module):
    """A head without its mask, whose inputs are all there."""

    def __init__(self, head: FusionHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, slots: Tensor, text: Tensor, template_index: Tensor, values: Tensor) -> Tensor:
        """See :class:`FusionHead`."""
        rewards: Tensor = self.head(slots, text, template_index, values, None)
        return rewards


@contextmanager
def _exported(head: FusionHead, inputs: Inputs, *, plain: bool = False) -> Generator[Path]:
    """An ONNX file of a head; ``plain`` without the shapes of its values, which the quantiser stumbles over."""
    import onnx

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")  # the exporter's, about itself
        file = Path(folder) / "head.onnx"
        shapes = ({0: "T"}, {0: "T"}, {0: "B"}, {0: "B"})
        torch.onnx.export(
            _Unmasked(head).eval(), inputs, file, dynamo=True, dynamic_shapes=shapes, verbose=False, external_data=False
        )
        if plain:
            graph = onnx.load(file)
            del graph.graph.value_info[:]
            onnx.save(graph, file)
        yield file


@contextmanager
def _quiet(name: str) -> Generator[None]:
    """Let a logger say nothing below an error: the exporter logs each operator of a torchvision that is not there."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _block_products(file: Path) -> list[str]:
    """Names of the matrix products of the blocks by weights; those of attention are between two steps' own values."""
    import onnx

    graph = onnx.load(file).graph
    weights = {tensor.name for tensor in graph.initializer}
    names = list[str]()
    for node in graph.node:
        scope = " ".join(entry.value for entry in node.metadata_props)
        if node.op_type in ("MatMul", "Gemm") and "blocks" in scope and node.input[1] in weights:
            names.append(node.name)
    return names


def _input_names(file: Path) -> list[str]:
    import onnx

    return [entry.name for entry in onnx.load(file).graph.input]


def _session(file: Path) -> Run:
    import onnxruntime

    options: Untyped = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    session: Untyped = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(*given: Tensor) -> Tensor:
        answer = session.run(None, dict(zip(names, (tensor.numpy() for tensor in given), strict=True)))
        return torch.from_numpy(answer[0])

    return run
