"""Plain strings that are texts of known templates: their phrases are found again."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from rmgym.text.batch import Numbered, TextBatch
from rmgym.text.kept import kept
from rmgym.text.numbers import IS_WORD, slot, split_template
from rmgym.text.rows import offsets_of, take_rows


def recognise(texts: TextBatch, templates: Sequence[str], phrases: Sequence[str] = ()) -> TextBatch:
    """The same texts with their phrases in the slots of known templates, where they are of one.

    So a model says the same of a string as of the batch that it was rendered from. Where a text can be several things,
    it is a known template as it stands, or else the first one whose slots hold known phrases, or else the first one
    whose words occur in order.

    Args:
        texts: from plain strings.
        templates: known ones.
        phrases: known ones.
    """
    whole, spoken = set(templates), set(phrases)
    slotted = [template for template in templates if IS_WORD in split_template(template)[1]]
    if not slotted or len(texts.words):
        return texts
    distinct, numbered = Numbered(), Numbered()
    index, words = list[str](), list[list[int]]()
    for text in texts.templates:
        template, heard = (text, ()) if text in whole else _recognised(text, slotted, spoken)
        index.append(template)
        words.append(numbered.moved(list(heard)).tolist())
    offsets = offsets_of(np.array([len(row) for row in words], np.int64))
    flat = np.array([w for row in words for w in row], np.int32)
    return TextBatch(
        template_index=distinct.moved(index)[texts.template_index],
        templates=tuple(distinct),
        numbers=texts.numbers,
        offsets=texts.offsets,
        phrases=tuple(numbered),
        words=take_rows(flat, offsets, texts.template_index.astype(np.int64)),
        language=texts.language,
        card_hash=texts.card_hash,
    )


def _recognised(text: str, templates: Sequence[str], phrases: Set[str]) -> tuple[str, tuple[str, ...]]:
    """A text's template and phrases; the text itself where it is of none."""
    possible = [
        (template, rest) for template in templates if (rest := _in_order(text, _literals(template))) is not None
    ]
    longest = max(map(len, phrases), default=0)
    for template, _ in possible:
        if (fitting := _known_phrases(text, _literals(template), phrases, longest)) is not None:
            return template, fitting
    for template, spans in possible:
        if not any("{" in span.replace("{{", "") for span in spans):  # no number stands in a phrase
            return template, tuple(map(_plain, spans))
    return text, ()


@kept
def _literals(template: str) -> tuple[str, ...]:
    """What stands around a template's phrases, as it stands in a text's own template."""
    pieces, decimals = split_template(template)
    literals = [""]
    for piece, d in zip(pieces, [*decimals, None], strict=True):
        literals[-1] += piece.replace("{", "{{").replace("}", "}}")
        if d == IS_WORD:
            literals.append("")
        elif d is not None:
            literals[-1] += slot(d)
    return tuple(literals)


def _in_order(text: str, literals: Sequence[str]) -> tuple[str, ...] | None:
    """What stands between literals, each where it first comes, the last one at the end."""
    first, *between, last = literals
    stop = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or stop < len(first):
        return None
    spans, begin = list[str](), len(first)
    for literal in between:
        end = text.find(literal, begin, stop)
        if end < 0:
            return None
        spans.append(text[begin:end])
        begin = end + len(literal)
    return (*spans, text[begin:stop])


def _known_phrases(text: str, literals: Sequence[str], phrases: Set[str], longest: int) -> tuple[str, ...] | None:
    """Known phrases between literals; None where there is no such way. Takes time linear in the text."""
    begins: dict[int, tuple[str, ...]] = {len(literals[0]): ()}  # where the next phrase may begin, after which ones
    for literal in literals[1:-1]:
        further = dict[int, tuple[str, ...]]()
        for begin, before in begins.items():
            end = text.find(literal, begin)
            while 0 <= end - begin <= 2 * longest:  # braces are doubled
                if (phrase := _plain(text[begin:end])) in phrases:
                    further.setdefault(end + len(literal), (*before, phrase))
                end = text.find(literal, end + 1)
        begins = further
    for begin, before in begins.items():
        if (phrase := _plain(text[begin : len(text) - len(literals[-1])])) in phrases:
            return (*before, phrase)
    return None


def _plain(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")
