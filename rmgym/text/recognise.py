"""Plain strings that are texts of known templates: their phrases are found again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rmgym.text.batch import Numbered, TextBatch
from rmgym.text.numbers import IS_WORD, slot, split_template
from rmgym.text.rows import offsets_of, take_rows

_PHRASE = r"((?:[^{]|\{\{)*?)"  # no number stands in a phrase


def recognise(texts: TextBatch, templates: Sequence[str]) -> TextBatch:
    """The same texts with their phrases in the slots of known templates, where they are of one.

    So a model says the same of a string as of the batch that it was rendered from.

    Args:
        texts: from plain strings.
        templates: known ones. The first one that a text can be of is taken.
    """
    patterns = [(t, _pattern(t)) for t in templates if IS_WORD in split_template(t)[1]]
    if not patterns or len(texts.words):
        return texts
    distinct, phrases = Numbered(), Numbered()
    index, words = list[str](), list[list[int]]()
    for text in texts.templates:
        fit = next(((t, match) for t, pattern in patterns if (match := pattern.fullmatch(text))), None)
        index.append(text if fit is None else fit[0])
        spoken = () if fit is None else fit[1].groups()
        words.append(phrases.moved([w.replace("{{", "{").replace("}}", "}") for w in spoken]).tolist())
    offsets = offsets_of(np.array([len(row) for row in words], np.int64))
    flat = np.array([w for row in words for w in row], np.int32)
    return TextBatch(
        template_index=distinct.moved(index)[texts.template_index],
        templates=tuple(distinct),
        numbers=texts.numbers,
        offsets=texts.offsets,
        phrases=tuple(phrases),
        words=take_rows(flat, offsets, texts.template_index.astype(np.int64)),
        language=texts.language,
        card_hash=texts.card_hash,
    )


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    """What the template is where phrases are written into it."""
    pieces, decimals = split_template(template)
    slots = [_PHRASE if d == IS_WORD else re.escape(slot(d)) for d in decimals]
    plain = [re.escape(piece.replace("{", "{{").replace("}", "}}")) for piece in pieces]
    return re.compile("".join(a + b for a, b in zip(plain, [*slots, ""], strict=True)), re.DOTALL)
