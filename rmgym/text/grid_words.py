"""The words for what an agent sees in a grid world: a template for so many things seen, and a phrase for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

from rmgym.cards import Grid
from rmgym.text.language import phrases
from rmgym.text.numbers import WORD, slot

NOTHING = -1
"""Among things: nothing is carried."""


@dataclass(frozen=True, kw_only=True)
class GridPhrases:
    """How one language says it."""

    carried: str
    nothing: str
    ahead: str
    free: tuple[str, str, str]
    in_view: str
    position: str
    none: str
    further: str
    between: str


GRID_PHRASES = {
    "en": GridPhrases(
        carried="carried",
        nothing="nothing",
        ahead="directly ahead",
        free=("free cells ahead", "free cells to the left", "free cells to the right"),
        in_view="in view",
        position="{thing} (ahead: {ahead}, right: {right})",
        none="nothing",
        further="further objects",
        between=" ",
    ),
    "zh": GridPhrases(
        carried="携带",
        nothing="无",
        ahead="正前方",
        free=("前方空格数", "左侧空格数", "右侧空格数"),
        in_view="视野内",
        position="{thing} (前: {ahead}， 右: {right})",
        none="无",
        further="其余物体数",
        between="",
    ),
}


class GridWords:
    """Says what a grid's card says, in one language.

    Every object, colour and state has a number here: its position among the card's sorted values. A *thing* is
    ``(object * colours + colour) * states + state``, with colour and state zero where the text does not say them.

    Attributes:
        objects: the card's values of objects, sorted; likewise ``colours`` and ``states``.
    """

    def __init__(self, grid: Grid, language: str) -> None:
        self._grid, self._language = grid, language
        self._general, self._phrases = phrases(language), GRID_PHRASES[language]
        self.objects, self.colours, self.states = map(sorted, (grid.objects, grid.colours, grid.states))

    @cache  # noqa: B019  # a handful, and as long-lived as the textualizer
    def template(self, listed: int, more: bool) -> str:
        """The template of a view that lists so many objects; see :mod:`rmgym.text.grid_view` for its slots' order."""
        phrases, number = self._phrases, slot(0)
        in_view = [phrases.position.format(thing=WORD, ahead=number, right=number)] * listed
        fields = [
            (phrases.carried, WORD),
            (phrases.ahead, WORD),
            *((free, number) for free in phrases.free),
            (phrases.in_view, self._general.separator.join(in_view) or phrases.none),
            *([(phrases.further, number)] if more else []),
        ]
        return self._general.separator.join(self._general.field.format(name=n, value=v) for n, v in fields)

    def phrase(self, thing: int) -> str:
        """A thing in words, or that there is nothing."""
        if thing == NOTHING:
            return self._phrases.nothing
        rest, state = divmod(thing, max(len(self.states), 1))
        place, colour = divmod(rest, max(len(self.colours), 1))
        value, grid = self.objects[place], self._grid
        words = [grid.states[self.states[state]]] if value in grid.stateful else []
        words += [grid.colours[self.colours[colour]]] if value in grid.coloured else []
        return self._phrases.between.join(map(self._say, [*words, grid.objects[value]]))

    def fixed(self) -> dict[str, object]:
        """The phrases around a card's own words, JSON-able, for the hash of the text."""
        return asdict(self._phrases)

    def _say(self, words: Mapping[str, str]) -> str:
        return words.get(self._language, words["en"])
