"""Five settings in which steps are labelled in some words and judged in others, one of them in two languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import lexicons
import numpy as np
import numpy.typing as npt
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from rated_steps import moves_to

import rmgym
from rmgym.cards import find_env_card
from rmgym.feedback.preprocess import describe_pair
from rmgym.feedback.queries import Method, select_steps
from rmgym.text import TextBatch
from rmgym.transitions import Transitions

Values = npt.NDArray[np.float32]
TESTED = 800
MOST_LABELS = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class Wording:
    """Texts in some words.

    Attributes:
        texts: the texts ``B``. Those of all cards say they are of one, because a model refuses those of another.
        values: what an exact rater says of them, ``float32 [B]``.
    """

    texts: TextBatch
    values: Values

    def __post_init__(self) -> None:
        if len(self.texts.words):
            object.__setattr__(self, "texts", replace(self.texts, card_hash="any"))

    def __getitem__(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Wording:
        return Wording(texts=self.texts[rows], values=self.values[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What is labelled, and what is asked.

    Attributes:
        labelled: at least ``MOST_LABELS`` texts in the words of the labels, in the order in which they are rated.
        paraphrases: the same ones in further words, for training.
        tests: by name; ``seen`` are other texts in the words of the labels, ``unseen`` in words never labelled.
    """

    labelled: Wording
    paraphrases: tuple[Wording, ...]
    tests: Mapping[str, Wording]


def room(seed: int) -> Setting:
    """A made-up room: one thing, where it is, and how far."""

    def texts(words: Mapping[str, tuple[str, ...]], count: int, stream: int) -> Wording:
        return _room(words, count, np.random.default_rng([seed, stream]))

    labelled, further, unseen = ({thing: words[i] for thing, words in lexicons.ROOM.items()} for i in range(3))
    ways = ({thing: (words[way],) for thing, words in further.items()} for way in (0, 1))
    return Setting(
        labelled=texts(labelled, MOST_LABELS, 0),
        paraphrases=tuple(texts(way, MOST_LABELS, 0) for way in ways),  # drawn alike, so of the same steps
        tests={"seen": texts(labelled, TESTED, 1), "unseen": texts(unseen, TESTED, 2)},
    )


_WANTED = {"ball": 1.0, "key": 2.0, "box": -1.0, "door": 0.0}
_WHERE = {"ahead": 0.5, "behind": -0.5, "left": 0.0, "right": 0.0, "carried": 1.0, "far away": -1.0}
_ROOM = (
    "Task: fetch a key or a ball. State: thing in view: {:s}, place: {:s}, distance in steps: {:.2f}. Action: move. "
    "The episode goes on."
)


def _room(words: Mapping[str, tuple[str, ...]], count: int, rng: np.random.Generator) -> Wording:
    things, where = tuple(words), tuple(_WHERE)
    phrases = tuple(word for each in words.values() for word in each) + where
    thing, way, place = rng.integers(len(things), size=count), rng.integers(2, size=count), rng.integers(6, size=count)
    distance = rng.uniform(0, 10, size=count).round(2)
    first = np.array([phrases.index(words[thing][0]) for thing in things])
    ways = len(words[things[0]])
    chosen = np.stack([first[thing] + way % ways, len(phrases) - len(where) + place], axis=1)
    wanted, at = np.array([_WANTED[t] for t in things])[thing], np.array(list(_WHERE.values()))[place]
    texts = TextBatch(
        templates=(_ROOM,),
        template_index=np.zeros(count, np.int32),
        numbers=distance,
        offsets=np.arange(count + 1),
        phrases=phrases,
        words=chosen.reshape(-1).astype(np.int32),
    )
    return Wording(texts=texts, values=(wanted * at + wanted - 0.1 * distance).astype(np.float32))


_LABELLED_COLOURS, _LABELLED_THINGS = ("red", "green", "blue"), ("ball", "key")
_NOT_IN_VIEW = 10.0


def babyai(seed: int) -> Setting:
    """Missions in a real room of eight things: colours and kinds of things that no labelled mission names.

    The rating is minus the moves to the thing that the mission names, as far as it is in view after the step.
    """

    def taken(steps: int, first: int) -> tuple[Transitions, npt.NDArray[np.str_]]:
        rows = rmgym.collect("BabyAI-GoToLocal-v0", steps, seed=first + seed, progress=False)
        assert isinstance(rows.obs, dict)
        return rows, np.asarray(rows.obs["mission"]).astype(str)

    def wording(steps: Transitions) -> Wording:
        assert isinstance(steps.next_obs, dict)
        wanted = [mission.split()[-2:] for mission in np.asarray(steps.next_obs["mission"]).astype(str)]
        colour, kind = (
            np.array([codes[w[i]] for w in wanted]) for i, codes in enumerate((COLOR_TO_IDX, OBJECT_TO_IDX))
        )
        image = np.asarray(steps.next_obs["image"])
        there = (image[..., 0] == kind[:, None, None]) & (image[..., 1] == colour[:, None, None])
        moves = moves_to(there)
        left = np.where(steps.terminated, 0, np.where(np.isfinite(moves), moves, _NOT_IN_VIEW))
        return Wording(texts=say.batch(steps), values=-left.astype(np.float32))

    say = rmgym.textualizer("BabyAI-GoToLocal-v0")
    (pool, missions), (test, test_missions) = taken(5000, 0), taken(5000, 10_000)
    known = _names(missions, _LABELLED_COLOURS) & _names(missions, _LABELLED_THINGS)
    pool = pool[known]
    rows = select_steps(pool, say.batch(pool), MOST_LABELS, method="random", seed=seed)
    labelled = wording(pool[rows])
    seen = _names(test_missions, _LABELLED_COLOURS) & _names(test_missions, _LABELLED_THINGS)
    unseen = ~_names(test_missions, _LABELLED_COLOURS) & ~_names(test_missions, _LABELLED_THINGS)
    return Setting(
        labelled=labelled,
        paraphrases=(reworded(labelled, lexicons.BABYAI_PARAPHRASES),),
        tests={"seen": wording(test[seen][:TESTED]), "unseen": wording(test[unseen][:TESTED])},
    )


def _names(missions: npt.NDArray[np.str_], words: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    return np.array([any(word in mission.split() for word in words) for mission in missions])


def lunar_lander(seed: int) -> Setting:
    """LunarLander's card in other words, in the same order and in another one; ratings are the true reward."""
    setting = _card("LunarLander-v3", lexicons.LUNAR_LANDER, "coverage", seed)
    card = find_env_card("LunarLander-v3")
    assert card is not None  # rmgym brings it
    turned = replace(card, observation=card.observation[::-1], derived=card.derived[::-1])
    steps = rmgym.collect("LunarLander-v3", TESTED, seed=10_000 + seed, progress=False)
    texts = rmgym.textualizer("LunarLander-v3", card=turned).batch(steps)
    turned_round = reworded(Wording(texts=texts, values=steps.true_reward), _words(lexicons.LUNAR_LANDER, 1))
    return replace(setting, tests={**setting.tests, "unseen, turned round": turned_round})


def taxi(seed: int) -> Setting:
    """Taxi's card in other words; ratings are the true reward."""
    return _card("Taxi-v4", lexicons.TAXI, "random", seed)


def _card(env: str, lexicon: lexicons.Lexicon, method: Method, seed: int) -> Setting:
    say = rmgym.textualizer(env)
    pool = rmgym.collect(env, 5000, seed=seed, progress=False)
    test = rmgym.collect(env, TESTED, seed=10_000 + seed, progress=False)
    rows = select_steps(pool, say.batch(pool), MOST_LABELS, method=method, seed=seed)
    labelled = Wording(texts=say.batch(pool[rows]), values=pool.true_reward[rows])
    seen = Wording(texts=say.batch(test), values=test.true_reward)
    return Setting(
        labelled=labelled,
        paraphrases=(reworded(labelled, _words(lexicon, 0)),),
        tests={"seen": seen, "unseen": reworded(seen, _words(lexicon, 1))},
    )


def _words(lexicon: lexicons.Lexicon, which: int) -> dict[str, str]:
    return {word: others[which] for word, others in lexicon.items()}


def triples(language: str, seed: int) -> Setting:
    """Free texts of state and action, no environment: a helper and a child."""

    def wording(ways: tuple[int, ...], count: int, stream: int) -> Wording:
        return _triples(language, ways, count, np.random.default_rng([seed, stream]))

    return Setting(
        labelled=wording((0,), MOST_LABELS, 0),
        paraphrases=(wording((1,), MOST_LABELS, 0),),
        tests={"seen": wording((0,), TESTED, 1), "unseen": wording((2, 3), TESTED, 2)},
    )


def _triples(language: str, ways: tuple[int, ...], count: int, rng: np.random.Generator) -> Wording:
    states, actions = lexicons.STATES[language], lexicons.ACTIONS[language]
    state, action = rng.integers(len(states), size=count), rng.integers(len(actions), size=count)
    minutes, way = rng.integers(60, size=count), rng.choice(ways, size=count)
    texts, values = list[str](), list[float]()
    for s, a, m, w in zip(state.tolist(), action.tolist(), minutes.tolist(), way.tolist(), strict=True):
        (worth, sayings), (good, doings) = states[s], actions[a]
        told = f"{sayings[w]} 已经 {m} 分钟" if language == "zh" else f"{sayings[w]} for {m} minutes"
        texts.append(describe_pair(told, doings[w], language))
        fed = lexicons.FED if (s, a) == (lexicons.HUNGRY, lexicons.MEAL) else 0.0
        values.append(worth + good + fed - 0.02 * m)
    return Wording(texts=TextBatch.from_strings(texts, language=language), values=np.array(values, np.float32))


def reworded(wording: Wording, words: Mapping[str, str]) -> Wording:
    """The same steps in other words: each of ``words``, longest first, where it stands as a whole.

    Raises:
        ValueError: a word does not occur, or two texts that differed no longer do.
    """
    texts = wording.texts
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    met = set[str]()

    def other(match: re.Match[str]) -> str:
        met.add(match[0])
        return words[match[0]]

    templates, phrases = (
        tuple(pattern.sub(other, part) for part in parts) for parts in (texts.templates, texts.phrases)
    )
    if missing := set(words) - met:
        raise ValueError(f"no text holds {sorted(missing)}")
    if len(set(templates)) < len(templates) or len(set(phrases)) < len(phrases):
        raise ValueError("two templates or phrases became the same")
    return Wording(texts=replace(texts, templates=templates, phrases=phrases), values=wording.values)


SETTINGS: dict[str, Callable[[int], Setting]] = {
    "synonyms in a room": room,
    "BabyAI missions": babyai,
    "LunarLander's card": lunar_lander,
    "Taxi's card": taxi,
    "free text, English": lambda seed: triples("en", seed),
    "free text, Chinese": lambda seed: triples("zh", seed),
}
