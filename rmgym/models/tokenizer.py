"""A tokenizer trained on the texts a model is fitted on: short for what they say, and able to read anything else.

Byte-pair encoding with byte fallback: a character never seen before becomes its UTF-8 bytes, so nothing is unknown,
in English, Chinese or any other language, and decoding gives the text back exactly. Words are merged within
themselves; scripts written without spaces are read character by character.

What stands in *every* text of the training set, such as the task's sentence or the names of the fields, tells texts
apart in nothing: each such phrase is a single token. That makes a Pendulum step 15 tokens long instead of 60.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from rmgym.errors import ModelError
from rmgym.storage.foreign import parse_json
from rmgym.text.numbers import split_template

_SIGNS = "+-.0123456789e"
_RESERVED = ["<pad>", "<number>", *(f"<0x{byte:02X}>" for byte in range(256)), *_SIGNS]
PAD, NUMBER = 0, 1
"""Ids of padding and of a number slot, in every tokenizer made here."""
SIGN = {sign: _RESERVED.index(sign) for sign in _SIGNS}
"""Ids of the characters of a number written in digits."""
FEWEST_TOKENS = 512
"""Smallest vocabulary: padding, the number slot, 256 bytes, digits, and room for some letters and words."""

_NO_SPACES = "".join(rf"\p{{{s}}}" for s in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"))
_WORDS = Regex(rf"[{_NO_SPACES}]| ?[^\s\p{{P}}\p{{S}}\p{{N}}{_NO_SPACES}]+|\p{{N}}| ?[\p{{P}}\p{{S}}]|\s")
_ATOMS = re.compile(r"[^\W\d_]+|.", re.DOTALL)
_END = "\0"
"""Stands for a slot where phrases are looked for, so that none reaches across one."""


def train_tokenizer(templates: Sequence[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer on the plain pieces of templates; the same templates give the same tokenizer.

    Args:
        templates: see :class:`rmgym.text.TextBatch`; none are fine too, all text is then bytes.
        vocab_size: most tokens it may have, at least :data:`FEWEST_TOKENS`.
    """
    pieces = [split_template(template)[0] for template in templates]
    phrases = shared_phrases(pieces)[: vocab_size // 8]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _splitter()
    room = vocab_size - len(_RESERVED) - len(phrases)
    trainer = trainers.BpeTrainer(vocab_size=room, limit_alphabet=room // 2, show_progress=False)
    between = re.compile("|".join(map(re.escape, phrases)) or r"\Z")
    rest = (part for text in pieces for piece in text for part in between.split(piece))
    learner.train_from_iterator(itertools.chain(rest, phrases), trainer)
    learned = json.loads(learner.to_str())["model"]
    # Reserved tokens are not "added" tokens, because those would be found in a user's text.
    words = [word for word in sorted(learned["vocab"], key=learned["vocab"].get) if word not in SIGN]
    vocabulary = {token: i for i, token in enumerate([*_RESERVED, *words])}
    return _assembled(vocabulary, [(a, b) for a, b in learned["merges"]], phrases)


def _assembled(vocabulary: dict[str, int], merges: list[tuple[str, str]], phrases: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases])
    return tokenizer


def read_tokenizer(text: str, vocab_size: int) -> Tokenizer:
    """A tokenizer that :func:`train_tokenizer` made, from its JSON.

    It is put together again of its vocabulary, its merges and its phrases, and refused where that is not all of it:
    normalizers, patterns and padding of others can make gigabytes of a word.

    Raises:
        ModelError: it is another one, has more than ``vocab_size`` tokens, or is damaged.
    """
    try:
        with panics_as_errors():
            content = parse_json(text)
            model, phrases = content["model"], [token["content"] for token in content["added_tokens"]]
            vocabulary = dict(model["vocab"])
            if sorted(vocabulary.values()) != [*range(len(vocabulary))] or len(vocabulary) + len(phrases) > vocab_size:
                raise ValueError(f"{len(vocabulary)} tokens and {len(phrases)} phrases are not 0 to {vocab_size - 1}")
            tokenizer = _assembled(vocabulary, [(a, b) for a, b in model["merges"]], phrases)
            if parse_json(tokenizer.to_str()) != content:
                raise ValueError("it has other parts than those that rmgym trains")
    except Exception as error:  # tokenizers raises nothing more precise
        raise ModelError(
            "the tokenizer is as rmgym trained it", got=f"{type(error).__name__}: {error}", fix="fit it again"
        ) from error
    return tokenizer


@contextmanager
def panics_as_errors() -> Generator[None]:
    """Where the Rust in ``tokenizers`` panics, its exception passes by ``except Exception``; here it is a ValueError.

    Raises:
        ValueError: it panicked.
    """
    try:
        yield
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # pyo3 gives the class no place to import it from
            raise
        raise ValueError(f"the tokenizer panics: {panic}") from panic


def shared_phrases(texts: Sequence[Sequence[str]]) -> list[str]:
    """Find the longest phrases of more than two words or marks that stand in every text, longest first.

    Args:
        texts: the plain pieces between the slots of each text.
    """
    if not texts:
        return []
    whole = [_END.join(("", *pieces, "")) for pieces in texts]
    shared = set[str]()
    for piece in min(texts, key=lambda pieces: sum(map(len, pieces))):
        atoms, start = _ATOMS.findall(piece), 0
        while start < len(atoms):
            end, phrase = start, ""
            while end < len(atoms) and all(phrase + atoms[end] in text for text in whole):
                phrase += atoms[end]
                end += 1
            if end - start > 2:
                shared.add(phrase)
            start = max(end, start + 1)
    return sorted(shared, key=lambda phrase: (-len(phrase), phrase))


def _splitter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(_WORDS, behavior="isolated")
