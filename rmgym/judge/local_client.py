"""A causal language model on this machine, through ``transformers``: probabilities of answers, nothing sampled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch

from rmgym.errors import JudgeError, ModelError
from rmgym.judge.clients import Reply, normalised
from rmgym.models.backbones.backbone import quietly
from rmgym.models.backbones.fitting_weights import check_folder
from rmgym.models.backbones.weights import weights_folder, weights_sha256
from rmgym.models.tokenizer import panics_as_errors
from rmgym.randomness import preserved

LanguageModel = Any
"""Of ``transformers``, whose classes share no base that says how they are called."""


class LocalClient:
    """Reads prompts as its chat template has them, or as they are where it has none.

    Args:
        name: ``smollm2``, a folder that ``save_pretrained`` wrote, or ``hf:`` and a hub id.
        device: where it runs.

    Raises:
        JudgeError: there are no such weights, or they are those of no causal language model.
    """

    at_once = 8

    def __init__(self, name: str, device: str = "cpu") -> None:
        self._lm, self._tokenizer, self.identity = load_judge(name, device)
        self._device = device

    @torch.no_grad()
    def ask(self, prompts: Sequence[str], words: tuple[str, ...]) -> Iterator[tuple[int, Reply]]:
        """See :class:`rmgym.judge.clients.Client`.

        Raises:
            JudgeError: a prompt is too long, or an answer is more than one token.
        """
        tokens = [self._tokens(word) for word in words]
        for place, prompt in enumerate(prompts):
            # Each alone: beside others, rounding would make the answer depend on them.
            ids = self._prompt(prompt)
            given = torch.tensor([ids], device=self._device)
            # Logits of the last token alone: over all of them, a vocabulary of 50,000 would take much memory.
            logits = self._lm(input_ids=given, logits_to_keep=1).logits[0, -1].double().log_softmax(dim=-1).cpu()
            logs = [float(logits[own].logsumexp(dim=0)) for own in tokens]
            yield place, Reply(logs=normalised(logs), read=len(ids), written=1)

    def _prompt(self, prompt: str) -> list[int]:
        """Token ids of a prompt.

        Raises:
            JudgeError: it is too long.
        """
        tokenizer = self._tokenizer
        with panics_as_errors():
            if tokenizer.chat_template is None:
                ids: list[int] = tokenizer.encode(f"{prompt}\nAnswer:", verbose=False)
            else:
                message = [{"role": "user", "content": prompt}]
                text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
                ids = tokenizer.encode(text, add_special_tokens=False, verbose=False)
        longest = getattr(self._lm.config, "max_position_embeddings", 2**30)
        if len(ids) > longest:
            raise JudgeError(
                f"a prompt has at most {longest} tokens for this judge",
                got=f"{len(ids)} tokens: {prompt[:80]!r}...",
                fix="compare shorter segments, or take a judge that reads more",
            )
        return ids

    def _tokens(self, word: str) -> list[int]:
        """The tokens that are a word: as the first of an answer, and behind a space.

        Raises:
            JudgeError: there is none.
        """
        tokenizer = self._tokenizer
        ids = [tokenizer.encode(form, add_special_tokens=False) for form in (word, f" {word}")]
        one = sorted({form[0] for form in ids if len(form) == 1})
        if not one:
            raise JudgeError("an answer is one token", got=f"{word!r}: {ids}", fix="take another judge")
        return one


@lru_cache(maxsize=2)
def load_judge(name: str, device: str) -> tuple[LanguageModel, Any, str]:
    """Model, tokenizer and identity of a local judge; loaded once per process.

    Raises:
        JudgeError: there are no such weights, or they are those of no causal language model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        folder = weights_folder(name)
        check_folder(folder, name)
        sha256 = weights_sha256(folder)
        with quietly(), panics_as_errors(), preserved():
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, **safely)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, use_safetensors=True, dtype="float32", output_loading_info=True, **safely
            )
            lm, missing = loaded[0], sorted(loaded[1]["missing_keys"])
            lm = lm.to(device).eval().requires_grad_(False)
    except ModelError as error:
        raise JudgeError(error.rule, got=error.got, fix=error.fix) from error
    except Exception as error:  # of weights, configuration and tokenizer, each of which raises its own
        raise JudgeError(
            "a judge is a causal language model that transformers has, with its tokenizer, on a device that is there",
            got=f"{name} on {device}: {(str(error).strip() or type(error).__name__).splitlines()[0]}",
            fix="name smollm2, a folder that save_pretrained wrote, or the URL of a server",
        ) from error
    if missing:
        raise JudgeError(
            "the weights of a judge are complete", got=f"{name}: without {missing[:3]}", fix="save it again"
        )
    template = hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:16]
    return lm, tokenizer, f"local {sha256[:16]} {template}"
