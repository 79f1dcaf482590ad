"""Which engine computes the heads of a model: torch as it is, or another; the fastest is found by trying.

Only the heads of late fusion run at every step, so only they are exchanged. float32 engines give the same rewards
within ``TOLERANCE`` of the model's scale, which is checked on real texts before one is taken. ``bfloat16`` and ``int8``
are approximations: they are never chosen by ``auto``, and refused where they miss ``BOUND``. A model on an engine is
another model: it has a digest of its own, so that no score of it is ever taken for one of the exact model.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.errors import ModelError, nearest
from rmgym.models.language_model import LanguageModelReward
from rmgym.scoring.fusion_engines import build
from rmgym.text.batch import TextBatch

EXACT = ("eager", "compile", "onnx", "openvino")
APPROXIMATE = ("bfloat16", "int8")
ENGINES = ("auto", *EXACT, *APPROXIMATE)
"""Names that :func:`with_engine` takes."""
TOLERANCE = 1e-4
"""Largest error of an exact engine, in standardised rewards."""
BOUND = 0.05
"""Largest root mean square error of an approximate one, in standard deviations of the rewards of the texts tried."""
_GAIN = 1.05  # what another engine must gain to be worth its warm-up
_LOG = logging.getLogger(__name__)
_FIX = {
    "compile": "install a C++ compiler, which torch.compile needs, or take 'auto'",
    "onnx": "pip install rmgym[onnx]",
    "int8": "pip install rmgym[onnx]",
    "openvino": "pip install rmgym[onnx,openvino]",
}


@dataclass(frozen=True)
class Choice:
    """What came of trying.

    Attributes:
        engine: the one that was chosen.
        rows_per_second: texts scored per second by each engine that was tried.
        left_out: why others were not, by name.
    """

    engine: str
    rows_per_second: dict[str, float]
    left_out: dict[str, str]

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in self.rows_per_second.items())
        return f"fusion heads run on {self.engine} (texts per second: {rates})"


class _Unfit(Exception):
    """An engine cannot be built here, or errs; says why, and what to do."""

    def __init__(self, rule: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.fix = rule, reason, fix


def with_engine(
    model: LanguageModelReward, texts: TextBatch, engine: str = "auto"
) -> tuple[LanguageModelReward, Choice]:
    """Give a model whose heads run on the fastest engine, or on a named one.

    Args:
        model: a late-fusion model on a CPU; it stays as it is, but for being switched to evaluation.
        texts: at least one text of its environment, better a few hundred; those of one template are used.
        engine: ``auto`` measures every exact engine whose package is installed; or one of ``EXACT`` and
            ``APPROXIMATE``.

    Returns:
        A model on the same weights with another digest (``model`` itself where torch is the choice), and what came of
        trying. As soon as a weight changes, its heads are computed by torch again.

    Raises:
        ModelError: the engine is unknown, its package is missing, it errs too much, or the model has no fusion heads.
    """
    if engine not in ENGINES:
        raise ModelError("an engine is known", got=engine, fix=nearest(engine, ENGINES))
    if model.options.fusion != "late" or model.device.type != "cpu" or not len(texts):
        raise ModelError(
            "engines are chosen for late fusion on a CPU, on texts of the environment",
            got=f"fusion={model.options.fusion!r} on {model.device}, {len(texts)} texts",
            fix="leave the engine out: other models have nothing to choose",
        )
    exact = model.exact.eval()
    texts = texts[texts.template_index == np.bincount(texts.template_index).argmax()][: exact.micro_batch]
    candidates = {"eager": exact}
    rates, left_out = {"eager": _rate(exact, texts)}, dict[str, str]()
    for name in EXACT[1:] if engine == "auto" else [engine] if engine != "eager" else []:
        try:
            candidates[name] = _tried(exact, texts, name)
        except _Unfit as unfit:
            if engine != "auto":
                raise ModelError(unfit.rule, got=unfit.reason, fix=unfit.fix) from unfit.__cause__
            left_out[name] = unfit.reason
            continue
        rates[name] = _rate(candidates[name], texts)
    fastest = max(rates, key=lambda name: rates[name])
    worth_it = fastest if rates[fastest] > _GAIN * rates["eager"] else "eager"
    choice = Choice(worth_it if engine == "auto" else engine, rates, left_out)
    _LOG.info("%s", choice)
    return candidates[choice.engine], choice


def _tried(exact: LanguageModelReward, texts: TextBatch, name: str) -> LanguageModelReward:
    """The model on an engine that has been checked.

    Raises:
        _Unfit: it cannot be built here, or errs too much.
    """
    try:
        model = exact.on_engine(build(name, exact.heads, exact.head_inputs(texts)))
        rewards = model.predict(texts).mean
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        fix = _FIX.get(name, "take 'auto' or 'eager'")
        raise _Unfit(f"the engine {name!r} can be built here", reason, fix) from error
    if wrong := _error(rewards, exact.predict(texts).mean, name, float(exact.scale)):
        raise _Unfit(f"{name} gives the model's rewards", wrong, "take 'auto' or 'eager'")
    return model


def _rate(model: LanguageModelReward, texts: TextBatch) -> float:
    """Texts per second: the median of a few calls after two that warm up."""
    seconds = list[float]()
    for _ in range(9):
        started = time.perf_counter()
        model.predict(texts)
        seconds.append(time.perf_counter() - started)
    return len(texts) / float(np.median(seconds[2:]))


def _error(rewards: npt.NDArray[np.float32], exact: npt.NDArray[np.float32], name: str, scale: float) -> str:
    """What is wrong with an engine's rewards; empty where nothing is."""
    off = np.abs(rewards - exact).max() / scale
    if name in EXACT:
        return "" if off <= TOLERANCE else f"an error of {off:.2g} standardised rewards, more than {TOLERANCE:g}"
    spread = float(exact.std())
    rms = float(np.sqrt(np.mean((rewards - exact) ** 2)))
    if spread > 0 and rms <= BOUND * spread:
        return ""
    return f"a root mean square error of {rms:.2g} where rewards spread by {spread:.2g}, more than {BOUND:g} of it"
