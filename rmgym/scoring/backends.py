"""What computes a fusion head: torch as it is, compiled, ONNX Runtime or OpenVINO; the fastest is found by trying.

Only the heads of late fusion run at every step, so only they are exchanged. float32 backends give the same rewards
within ``TOLERANCE`` of the model's scale, which is checked on real texts before one is taken. ``bfloat16`` and ``int8``
are approximations: they are never chosen by ``auto``, and refused where they miss ``BOUND``.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rmgym.errors import ModelError, nearest
from rmgym.models.fusion import FusionHead
from rmgym.models.language_model import LanguageModelReward
from rmgym.text.batch import TextBatch

EXACT = ("eager", "compile", "onnx", "openvino")
APPROXIMATE = ("bfloat16", "int8")
TOLERANCE = 1e-4
"""Largest error of an exact backend, in standardised rewards."""
BOUND = 0.05
"""Largest root mean square error of an approximate one, in standard deviations of the rewards of the texts tried."""
_GAIN = 1.05  # what another backend must gain to be worth its warm-up
_LOG = logging.getLogger(__name__)

Run = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From ``(slots, text, template_index, values)`` of :class:`FusionHead` to rewards ``[B]``."""


@dataclass(frozen=True)
class Choice:
    """What came of trying.

    Attributes:
        backend: the one that the model runs on now.
        rows_per_second: texts scored per second by each backend that was tried.
        left_out: why others were not, by name.
    """

    backend: str
    rows_per_second: dict[str, float]
    left_out: dict[str, str]

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in self.rows_per_second.items())
        return f"fusion heads run on {self.backend} (texts per second: {rates})"


def choose_backend(model: LanguageModelReward, texts: TextBatch, backend: str = "auto") -> Choice:
    """Let a model's heads run on the fastest backend, or on a named one, until its weights change.

    Args:
        model: a late-fusion model on a CPU.
        texts: at least one text of its environment, better a few hundred; those of one template are used.
        backend: ``auto`` measures every exact backend whose package is installed; or one of ``EXACT`` and
            ``APPROXIMATE``.

    Raises:
        ModelError: the backend is unknown, its package is missing, it errs too much, or the model has no fusion heads.
    """
    if backend not in ("auto", *EXACT, *APPROXIMATE):
        known = ("auto", *EXACT, *APPROXIMATE)
        raise ModelError("a backend is known", got=backend, fix=nearest(backend, known))
    if model.options.fusion != "late" or model.device.type != "cpu" or not len(texts):
        raise ModelError(
            "backends are chosen for late fusion on a CPU, on texts of the environment",
            got=f"fusion={model.options.fusion!r} on {model.device}, {len(texts)} texts",
            fix="leave the backend out: other models have nothing to choose",
        )
    texts = texts[texts.template_index == np.bincount(texts.template_index).argmax()][: model.micro_batch]
    model.eval()
    model.use_engines(None)
    exact = model.predict(texts).mean
    rates, left_out = {"eager": _rate(model, texts)}, dict[str, str]()
    engines: dict[str, list[Run] | None] = {"eager": None}
    for name in EXACT[1:] if backend == "auto" else [backend] if backend != "eager" else []:
        try:
            engines[name] = [_BUILD[name](head, model, texts) for head in _heads(model)]
        except (ImportError, RuntimeError, OSError) as error:
            if backend != "auto":
                raise ModelError(
                    f"the backend {name!r} can be built here",
                    got=str(error).strip().splitlines()[0][:200],
                    fix=_FIX.get(name, "take 'auto' or 'eager'"),
                ) from error
            left_out[name] = str(error).strip().splitlines()[0][:200]
            continue
        model.use_engines(engines[name])
        wrong = _error(model.predict(texts).mean, exact, name, float(model.scale))
        if wrong is not None:
            model.use_engines(None)
            if backend != "auto":
                raise ModelError(f"{name} gives the model's rewards", got=wrong, fix="take 'auto' or 'eager'")
            left_out[name] = wrong
            continue
        rates[name] = _rate(model, texts)
    best = max(rates, key=lambda name: rates[name])
    if backend == "auto":
        best = best if rates[best] > _GAIN * rates["eager"] else "eager"
    chosen = best if backend == "auto" else backend
    model.use_engines(engines[chosen])
    choice = Choice(chosen, rates, left_out)
    _LOG.info("%s", choice)
    return choice


def _heads(model: LanguageModelReward) -> list[FusionHead]:
    return [head for head in model.heads if isinstance(head, FusionHead)]


def _rate(model: LanguageModelReward, texts: TextBatch) -> float:
    """Texts per second: the median of a few calls after two that warm up."""
    seconds = list[float]()
    for _ in range(9):
        started = time.perf_counter()
        model.predict(texts)
        seconds.append(time.perf_counter() - started)
    return len(texts) / float(np.median(seconds[2:]))


def _error(said: Any, exact: Any, name: str, scale: float) -> str | None:
    """What is wrong with a backend's rewards, if anything is."""
    off = np.abs(said - exact).max() / scale
    if name in EXACT:
        return None if off <= TOLERANCE else f"an error of {off:.2g} standardised rewards, more than {TOLERANCE:g}"
    spread = float(exact.std())
    rms = float(np.sqrt(np.mean((said - exact) ** 2)))
    if spread > 0 and rms <= BOUND * spread:
        return None
    return f"a root mean square error of {rms:.2g} where rewards spread by {spread:.2g}, more than {BOUND:g} of it"


def _compile(head: FusionHead, model: LanguageModelReward, texts: TextBatch) -> Run:
    compiled: Any = torch.compile(head, dynamic=True)
    return lambda slots, text, index, values: compiled(slots, text, index, values, None)


def _bfloat16(head: FusionHead, model: LanguageModelReward, texts: TextBatch) -> Run:
    import copy

    half: Any = copy.deepcopy(head).to(torch.bfloat16)

    def run(slots: Tensor, text: Tensor, index: Tensor, values: Tensor) -> Tensor:
        return half(slots.bfloat16(), text.bfloat16(), index, values, None).float()  # type: ignore[no-any-return]

    return run


def _onnx(head: FusionHead, model: LanguageModelReward, texts: TextBatch) -> Run:
    with _exported(head, model, texts) as file:
        return _session(file)


def _int8(head: FusionHead, model: LanguageModelReward, texts: TextBatch) -> Run:
    """Weights of the blocks' matrix products in 8 bits; number features and reward stay in float (DESIGN promise 4)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _exported(head, model, texts, plain=True) as file:
        small = file.with_name("int8.onnx")
        products = _block_products(file)
        quantize_dynamic(str(file), str(small), nodes_to_quantize=products, weight_type=QuantType.QInt8)
        return _session(small)


def _openvino(head: FusionHead, model: LanguageModelReward, texts: TextBatch) -> Run:
    import openvino

    with _exported(head, model, texts) as file:
        core: Any = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        request = core.compile_model(core.read_model(str(file)), "CPU", settings).create_infer_request()

    def run(*inputs: Tensor) -> Tensor:
        said = request.infer([given.numpy() for given in inputs])
        return torch.from_numpy(next(iter(said.values())).copy())

    return run


_BUILD: dict[str, Callable[[FusionHead, LanguageModelReward, TextBatch], Run]] = {
    "compile": _compile,
    "onnx": _onnx,
    "openvino": _openvino,
    "bfloat16": _bfloat16,
    "int8": _int8,
}
_FIX = {
    "compile": "install a C++ compiler, which torch.compile needs, or take 'auto'",
    "onnx": "pip install rmgym[onnx]",
    "int8": "pip install rmgym[onnx]",
    "openvino": "pip install rmgym[onnx,openvino]",
}


class _Unmasked(torch.nn.Module):
    """A head without its mask, whose inputs are all there."""

    def __init__(self, head: FusionHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, slots: Tensor, text: Tensor, template_index: Tensor, values: Tensor) -> Tensor:
        """See :class:`FusionHead`."""
        said: Tensor = self.head(slots, text, template_index, values, None)
        return said


@contextmanager
def _exported(
    head: FusionHead, model: LanguageModelReward, texts: TextBatch, *, plain: bool = False
) -> Generator[Path]:
    """An ONNX file of a head; ``plain`` without the shapes of its values, which the quantiser stumbles over."""
    import onnx

    inputs = model.head_inputs(texts)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
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


def _block_products(file: Path) -> list[str]:
    """Names of the matrix products inside the blocks."""
    import onnx

    nodes = onnx.load(file).graph.node
    return [node.name for node in nodes if node.op_type in ("MatMul", "Gemm") and "blocks" in " ".join(node.input)]


def _session(file: Path) -> Run:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        said = session.run(None, dict(zip(names, (given.numpy() for given in inputs), strict=True)))
        return torch.from_numpy(said[0])

    return run
