"""What an agent sees in a grid world, in words: MiniGrid's ``[columns, rows, 3]`` views, whole batches at once.

Of each view the text says what is carried, what is directly ahead, how many cells ahead, to the left and to the right
are free in a row, and the objects in view, with two numbers each: cells ahead (negative: behind) and cells to the right
(negative: to the left) of the agent. Walls, empty and unseen cells are not listed. Of more objects than the card wants
named, the nearest are (in steps; between equals the leftmost), and the number of the others. Named objects stand in
the order of the card's values (object, colour, state) and then of distance: so equal views have equal texts, and moving
among the same objects keeps the template.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.cards import Grid
from rmgym.errors import CardError, TextError
from rmgym.text.batch import TextBatch
from rmgym.text.grid_words import NOTHING, GridWords
from rmgym.text.rows import distinct_rows, offsets_of
from rmgym.trees import Array

Ints = npt.NDArray[np.int64]


class GridText:
    """Puts the views of one grid into words.

    Args:
        grid: the card's table.
        language: language of the words; a text that the card lacks in it falls back to English.

    Raises:
        TextError: the language is not known.
    """

    def __init__(self, grid: Grid, language: str = "en") -> None:
        self.grid, self._language = grid, language
        self.words = GridWords(grid, language)
        column, row = np.indices(grid.size).reshape(2, -1)
        right, ahead = column - grid.agent[0], grid.agent[1] - row
        self._nearest = np.lexsort((ahead, right, np.abs(ahead) + np.abs(right)))  # its own cell comes first
        self._ahead_right = np.stack([ahead, right], axis=1)[self._nearest]
        self._paths = [self._path(*way) for way in ((1, 0), (0, -1), (0, 1))]
        objects = np.array(self.words.objects)
        self._is_empty = np.isin(objects, grid.empty)
        self._is_listed = ~np.isin(objects, [*grid.empty, *grid.unlisted])

    def fragments(self, views: npt.ArrayLike) -> TextBatch:
        """The text of each view.

        Args:
            views: integers ``[B, columns, rows, 3]``: object, colour and state of every cell.

        Raises:
            TextError: the views have another shape, or the card has no word for a value in them.
        """
        things, objects = self._things(np.asarray(views))
        listed = self._is_listed[objects]
        carried = np.where(listed[:, 0], things[:, 0], NOTHING)
        listed[:, 0] = False
        nth = np.cumsum(listed, axis=1)
        further = np.maximum(nth[:, -1] - self.grid.most, 0)
        text, cell = np.nonzero(listed & (nth <= self.grid.most))
        order = np.lexsort((cell, things[text, cell], text))
        text, cell = text[order], cell[order]

        counts = np.bincount(text, minlength=len(things))
        offsets = offsets_of(3 + 2 * counts + (further > 0))
        place = np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers = np.empty(offsets[-1], np.float64)
        for i, path in enumerate(self._paths):
            free = np.logical_and.accumulate(self._is_empty[objects[:, path]], axis=1)
            numbers[offsets[:-1] + i] = free.sum(axis=1)
        at = offsets[text] + 3 + 2 * place
        numbers[at], numbers[at + 1] = self._ahead_right[cell].T
        numbers[offsets[1:][further > 0] - 1] = further[further > 0]

        word_offsets = offsets_of(2 + counts)
        seen = np.empty(word_offsets[-1], np.int64)
        seen[word_offsets[:-1]], seen[word_offsets[:-1] + 1] = carried, things[:, self._paths[0][0]]
        seen[word_offsets[text] + 2 + place] = things[text, cell]
        named, words = np.unique(seen, return_inverse=True)
        shapes, index = distinct_rows(np.stack([counts, further > 0], axis=1).astype(np.int32))
        return TextBatch(
            templates=tuple(self.words.template(count, bool(more)) for count, more in shapes.tolist()),
            template_index=index,
            numbers=numbers,
            offsets=offsets,
            phrases=tuple(map(self.words.phrase, named.tolist())),
            words=words.reshape(-1).astype(np.int32),
            language=self._language,
        )

    def _things(self, views: Array) -> tuple[Ints, Ints]:
        """Things and positions of objects (see :class:`GridWords`) per cell, nearest first: ``int64 [B, cells]``."""
        grid, words = self.grid, self.words
        if views.shape[1:] != (*grid.size, 3) or views.dtype.kind not in "iu":
            raise TextError(
                f"a view is of integers [{grid.size[0]}, {grid.size[1]}, 3]",
                got=f"{views.dtype} {list(views.shape[1:])}",
                fix="pass raw observations, or use a card for this size of view",
            )
        cells = views.reshape(len(views), self._nearest.size, 3)[:, self._nearest]
        cells = np.clip(cells.astype(np.int64), -1, 256)
        objects = _positions(cells[..., 0], words.objects, np.True_, "object", grid.key)
        coloured, stateful = (np.isin(cells[..., 0], kinds) for kinds in (grid.coloured, grid.stateful))
        colours = _positions(cells[..., 1], words.colours, coloured, "colour", grid.key)
        states = _positions(cells[..., 2], words.states, stateful, "state", grid.key)
        return (objects * max(len(words.colours), 1) + colours) * max(len(words.states), 1) + states, objects

    def _path(self, ahead: int, right: int) -> list[int]:
        """Cells (as positions in nearest-first order) on the way from the agent to the border of the view."""
        onward = self._ahead_right @ [ahead, right]
        beside = self._ahead_right @ [right, ahead]
        return np.flatnonzero((onward > 0) & (beside == 0)).tolist()  # nearest first already


def check_grid(grid: Grid, shape: tuple[int, ...] | None, where: str) -> None:
    """Refuse a card whose grid is not what its environment shows.

    Args:
        grid: the card's table.
        shape: shape of the observation at its path, None where there is none.
        where: the card, for the error.

    Raises:
        CardError: the shape is another.
    """
    if shape != (*grid.size, 3):
        raise CardError(
            f"{where}: the grid {grid.key!r} is an integer array of shape {(*grid.size, 3)}",
            got=f"{shape} at path {grid.path!r}",
            fix="correct its path or its size, or use another card",
        )


def _positions(
    values: Ints, labels: list[int], has_word: npt.NDArray[np.bool_] | np.bool_, what: str, key: str
) -> Ints:
    """Positions of values (-1 to 256) among the known bytes; zero where they are not told."""
    table = np.full(257, -1)  # the value -1 looks up the last entry
    table[labels] = np.arange(len(labels))
    position = np.where(has_word, table[values], 0)
    if (position < 0).any():
        raise TextError(
            f"every {what} in {key!r} has a word in the card",
            got=int(values[position < 0][0]),
            fix=f"add it to '{what}s' (known: {labels})",
        )
    return position
