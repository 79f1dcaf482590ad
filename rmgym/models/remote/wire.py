"""Texts and scores as bytes between processes: safetensors, so exact to the bit and nothing that could execute.

A message is a few arrays and one of them, ``facts``, is UTF-8 JSON: templates, language and card of texts, the model's
digest of scores.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rmgym.errors import ModelError, TextError
from rmgym.models.base import Prediction
from rmgym.storage.foreign import parse_json
from rmgym.text.batch import TextBatch

CONTENT_TYPE = "application/octet-stream"
_TEXTS = {
    "template_index": np.int32,
    "numbers": np.float64,
    "offsets": np.int64,
    "words": np.int32,
    "facts": np.uint8,
}
_SCORES = {"mean": np.float32, "std": np.float32, "facts": np.uint8}


def pack_texts(texts: TextBatch) -> bytes:
    """Write ``B`` texts, without the templates and phrases that none of them uses."""
    used = texts.used()
    facts = {
        "templates": used.templates,
        "phrases": used.phrases,
        "language": used.language,
        "card_hash": used.card_hash,
    }
    return _pack(
        _TEXTS,
        facts,
        template_index=used.template_index,
        numbers=used.numbers,
        offsets=used.offsets,
        words=used.words,
    )


def unpack_texts(body: bytes) -> TextBatch:
    """Read what :func:`pack_texts` wrote; whatever else arrives is refused.

    Raises:
        TextError: the bytes are no such message, or templates, indices, numbers and offsets do not fit together.
    """
    try:
        arrays, facts = _unpack(_TEXTS, body)
        return TextBatch.from_json({**facts, **arrays})
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TextError(
            "texts to score are a message of rmgym.models.remote.wire.pack_texts",
            got=f"{len(body)} bytes: {error!r}",
            fix="send them with the reward model 'remote' of the same version of rmgym",
        ) from error


def pack_prediction(prediction: Prediction, digest: str) -> bytes:
    """Write scores, with the digest of the model that gave them."""
    return _pack(_SCORES, {"digest": digest}, mean=prediction.mean, std=prediction.std)


def unpack_prediction(body: bytes) -> tuple[Prediction, str]:
    """Read what :func:`pack_prediction` wrote: the scores, and the digest of the model that gave them.

    Raises:
        ModelError: the bytes are no such message.
    """
    try:
        arrays, facts = _unpack(_SCORES, body)
        digest = facts["digest"]
        if not isinstance(digest, str):
            raise ValueError("a digest is a string")
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            "scores are a message of rmgym.models.remote.wire.pack_prediction",
            got=f"{len(body)} bytes: {error!r}",
            fix="check that the URL is that of 'rmgym serve', of the same version of rmgym",
        ) from error
    return Prediction(arrays["mean"], arrays["std"]), digest


def _pack(dtypes: dict[str, Any], facts: dict[str, Any], **arrays: npt.NDArray[Any]) -> bytes:
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    return save({name: np.ascontiguousarray(arrays[name], dtype) for name, dtype in dtypes.items()})


def _unpack(dtypes: dict[str, Any], body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Arrays of exactly these names and dtypes, one-dimensional and writable, and what is facts about them.

    Raises:
        ValueError: they are not.
        SafetensorError: the bytes are not safetensors.
    """
    loaded = load(body)
    if loaded.keys() != dtypes.keys():
        raise ValueError(f"arrays are {', '.join(sorted(dtypes))}, not {', '.join(sorted(loaded))}")
    for name, array in loaded.items():
        if array.dtype != dtypes[name] or array.ndim != 1:
            raise ValueError(f"{name} is {dtypes[name].__name__} with one dimension, not {array.dtype} {array.shape}")
    facts = parse_json(loaded["facts"].tobytes().decode())  # bytes alone might be UTF-16
    if not isinstance(facts, dict):
        raise ValueError("'facts' is a JSON object")
    return {name: np.array(array) for name, array in loaded.items()}, facts
