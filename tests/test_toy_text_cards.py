"""The cards of Taxi and CliffWalking read a state's number as the environments do, for every state and action."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rmgym.text import textualizer
from tests.card_values import by_key, words

MOVES = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


@pytest.fixture(scope="module")
def taxi() -> Iterator[Any]:
    with gym.make("Taxi-v4") as env:
        yield env.unwrapped


@pytest.fixture(scope="module")
def cliff() -> Iterator[Any]:
    with gym.make("CliffWalking-v1") as env:
        yield env.unwrapped


def test_taxi_states_are_decoded_as_the_environment_does(taxi: Any) -> None:
    letters = {"R": "red", "G": "green", "Y": "yellow", "B": "blue"}
    for state in range(500):
        said = by_key("Taxi-v4", state, {"places": np.array(taxi.locs)})
        row, column, passenger, destination = taxi.decode(state)
        assert (said["row"], said["column"]) == (row, column)
        where = taxi.locs[passenger] if passenger < 4 else (row, column)
        assert (said["passenger_row"], said["passenger_column"]) == where
        assert (said["destination_row"], said["destination_column"]) == taxi.locs[destination]
        # The letter that the map shows at a place is the colour that the card says.
        goal_row, goal_column = taxi.locs[destination]
        colour = letters[taxi.desc[1 + goal_row, 2 * goal_column + 1].decode()]
        assert words("Taxi-v4", "destination", said["destination"]) == f"the {colour} place"
        inside = words("Taxi-v4", "passenger", said["passenger"])
        if passenger == 4:
            assert inside == "in the taxi"
        else:
            letter = taxi.desc[1 + where[0], 2 * where[1] + 1].decode()
            assert inside == f"at the {letters[letter]} place"


def test_taxi_actions_do_what_their_words_say(taxi: Any) -> None:
    moved = set()
    for state in range(500):
        before = by_key("Taxi-v4", state, {"places": np.array(taxi.locs)})
        for action in range(6):
            ((_, successor, _, _),) = taxi.P[state][action]
            after = by_key("Taxi-v4", successor, {"places": np.array(taxi.locs)})
            said = words("Taxi-v4", "drive", action)
            step = (after["row"] - before["row"], after["column"] - before["column"])
            if said.startswith("drive "):
                assert step in ((0, 0), MOVES[said.removeprefix("drive ")])
                assert after["passenger"] == before["passenger"]
                moved.add((said, step))
            elif after["passenger"] != before["passenger"]:
                assert step == (0, 0)
                change = {"pick the passenger up": after, "drop the passenger off": before}[said]
                assert words("Taxi-v4", "passenger", change["passenger"]) == "in the taxi"
                moved.add((said, step))
    # Every action changes something somewhere.
    assert {said for said, step in moved if step != (0, 0)} == {f"drive {way}" for way in MOVES}
    assert {"pick the passenger up", "drop the passenger off"} < {said for said, _ in moved}


def test_taxi_walls_stand_in_the_map_of_the_text(taxi: Any) -> None:
    with gym.make("Taxi-v4") as env:
        said = textualizer(env).describe(0, 0, 0)
    rows = ["".join(letter.decode() for letter in row) for row in taxi.desc]
    assert " ".join(rows) in said
    for state in range(0, 500, 20):  # one state for each cell
        row, column, _, _ = taxi.decode(state)
        blocked = taxi.P[state][2][0][1] == state
        assert blocked == (rows[1 + row][2 * column + 2] == "|")


def test_cliff_cells_are_where_the_card_says(cliff: Any) -> None:
    for cell in range(48):
        said = by_key("CliffWalking-v1", cell)
        assert (said["row"], said["column"]) == np.unravel_index(cell, cliff.shape)
        place = words("CliffWalking-v1", "place", said["place"])
        assert (place == "cliff") == cliff._cliff.flat[cell]
        assert (place == "start beside the cliff") == (cell == cliff.start_state_index)
        # Only the goal ends an episode, whatever cell it is entered from.
        entered = [over for s in range(48) for a in range(4) for _, n, _, over in cliff.P[s][a] if n == cell]
        assert (place == "goal") == (True in entered)
        below = cell + 12
        assert (place == "right above the cliff") == (below < 48 and bool(cliff._cliff.flat[below]))


def test_cliff_actions_move_where_their_words_say(cliff: Any) -> None:
    fell = set()
    for cell in range(36):
        before = by_key("CliffWalking-v1", cell)
        for action in range(4):
            ((_, successor, _, _),) = cliff.P[cell][action]
            after = by_key("CliffWalking-v1", successor)
            down, right = MOVES[words("CliffWalking-v1", "move", action)]
            if words("CliffWalking-v1", "place", before["place"]) == "right above the cliff" and down == 1:
                assert words("CliffWalking-v1", "place", after["place"]) == "start beside the cliff"
                fell.add(cell)
            else:
                assert after["row"] == np.clip(before["row"] + down, 0, 3)
                assert after["column"] == np.clip(before["column"] + right, 0, 11)
    assert len(fell) == 10
