"""A card's fields read out of batches of one space: columns of numbers, and fragments of text where there are none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from rmgym.cards import Field, Grid
from rmgym.errors import TextError
from rmgym.text.batch import TextBatch
from rmgym.text.grid_view import GridText
from rmgym.text.ragged import Captioner, captions, fragments
from rmgym.text.spaces import columns, elements, is_image, leaf_spaces, unreadable
from rmgym.trees import Array, Space, Tree, is_ragged, leaves

Columns = dict[str, npt.NDArray[np.float64]]
Fragments = Callable[[Array], TextBatch]
"""The text of each value of one leaf: templates with slots, and their numbers."""
_SMALL = 64
"""Elements of a leaf that are looked at though no field names them; in a larger leaf that would cost too much."""


class Reader:
    """Reads fields out of the values of one space.

    Args:
        space: the space.
        fields: the card's fields; their paths are in it.
        grids: the card's views of grid worlds; their paths are leaves of it.
        language: language of fragments.
        captioner: says what is on pictures.

    Attributes:
        fragments: what turns a leaf into text, by the key of its field, as ``(leaf, work)``.

    Raises:
        TextError: a picture is shown and there is no captioner.
    """

    def __init__(
        self,
        space: Space,
        fields: Sequence[Field],
        language: str,
        captioner: Captioner | None = None,
        grids: Sequence[Grid] = (),
    ) -> None:
        self._leaves = leaf_spaces(space)
        self.fragments = dict[str, tuple[str, Fragments]]()
        self._place = dict[str, tuple[str, int]]()  # key: leaf and element
        places = {path: (leaf, i) for leaf, part in self._leaves.items() for i, path in enumerate(elements(leaf, part))}
        for field in fields:
            part = self._leaves.get(field.path)
            if part is not None and is_ragged(part):
                self.fragments[field.key] = (field.path, partial(fragments, part, language=language))
            elif part is not None and is_image(part):
                if captioner is None:
                    raise unreadable(field.path, part)
                self.fragments[field.key] = (field.path, partial(captions, captioner, part, language=language))
            else:
                self._place[field.key] = places[field.path]  # which is there: check_card has seen to it
        for grid in grids:
            self.fragments[grid.key] = (grid.path, GridText(grid, language).fragments)
        self._wanted = self._elements_to_read()
        position = {leaf: {element: i for i, element in enumerate(chosen)} for leaf, chosen in self._wanted.items()}
        self._column = {key: (leaf, position[leaf][element]) for key, (leaf, element) in self._place.items()}
        whole = {leaf: [*range(math.prod(self._leaves[leaf].shape or ()))] for leaf in self._wanted}
        self._chosen = {leaf: None if some == whole[leaf] else some for leaf, some in self._wanted.items()}

    def columns(self, tree: Tree, what: str) -> Columns:
        """Numbers by key, each ``float64 [B]``; errors call them ``what``.

        Every number of a leaf that is not large is checked, whether it is shown or not: one that is not finite says
        that the environment is broken.

        Raises:
            TextError: the batch has not the space's structure, or as for :func:`rmgym.text.spaces.columns`.
        """
        arrays = self._arrays(tree, what)
        tables = {
            leaf: columns(self._leaves[leaf], arrays[leaf], f"{what} {leaf}".rstrip(), self._chosen[leaf])
            for leaf in self._wanted
        }
        return {key: tables[leaf][:, column] for key, (leaf, column) in self._column.items()}

    def texts(self, tree: Tree, what: str) -> dict[str, TextBatch]:
        """Fragments by key, ``B`` texts each; errors as for :meth:`columns`."""
        arrays = self._arrays(tree, what) if self.fragments else {}
        return {key: work(arrays[leaf]) for key, (leaf, work) in self.fragments.items()}

    def _elements_to_read(self) -> dict[str, list[int]]:
        """Elements by leaf: all of a small one, of a large one those that a field names."""
        wanted = dict[str, list[int]]()
        for leaf, part in self._leaves.items():
            size = math.prod(part.shape or ()) if not is_ragged(part) else 0
            named = sorted({i for place, i in self._place.values() if place == leaf})
            if is_ragged(part) or (size > _SMALL and not named):
                continue
            wanted[leaf] = list(range(size)) if size <= _SMALL else named
        return wanted

    def _arrays(self, tree: Tree, what: str) -> dict[str, Array]:
        arrays = leaves(tree)
        if missing := set(self._leaves) - set(arrays):
            raise TextError(
                f"{what} has the structure of its space",
                got=f"leaves {sorted(arrays)}",
                fix=f"pass a batch with {sorted(missing)} (rmgym.trees.stack makes one)",
            )
        return arrays
