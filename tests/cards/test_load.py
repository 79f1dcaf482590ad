"""A mistake in a card is an error that names the file, the key and the nearest valid key."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.cards import AgentCard, EnvCard, find_env_card, load_agent_card, load_env_card
from rmgym.errors import CardError
from tests.hostile import DEEP_ENOUGH, DEEP_TOML, IN_THE_WAY, put_in_the_way

ENV = 'id = "X-v0"\ntask.en = "Go."\n'
FIELD = ENV + '[[observation]]\nkey = "x"\npath = "0"\nname.en = "position"\n'
REFERENCE = ENV + '[reference.random]\nmean = -1.5\nsource = "measured"\n'
AGENT = 'name = "ppo"\nalgorithm = "stable_baselines3.PPO"\n'
OVERRIDE = AGENT + '[[environment]]\nid = "X-v0"\nsource = "zoo"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "card.toml"
    path.write_text(text, encoding="utf-8")
    return path


def env_error(tmp_path: Path, text: str) -> CardError:
    with pytest.raises(CardError) as caught:
        load_env_card(write(tmp_path, text))
    return caught.value


def agent_error(tmp_path: Path, text: str) -> CardError:
    with pytest.raises(CardError) as caught:
        load_agent_card(write(tmp_path, text))
    return caught.value


def test_smallest_cards(tmp_path: Path) -> None:
    path = write(tmp_path, ENV)
    assert load_env_card(path) == EnvCard(id="X-v0", task={"en": "Go."}, file=str(path))
    path = write(tmp_path, AGENT)
    assert load_agent_card(path) == AgentCard(name="ppo", algorithm="stable_baselines3.PPO", file=str(path))


@pytest.mark.parametrize(
    ("text", "key", "received", "fix"),
    [
        ("idd = 'Y'\n" + ENV, "idd", "idd", "did you mean 'id'?"),
        ("treshold = 1.0\n" + ENV, "treshold", "treshold", "did you mean 'threshold'?"),
        (FIELD + "unti = 'm'\n", "observation.0.unti", "unti", "did you mean 'unit'?"),
        (FIELD + FIELD[len(ENV) :] + "decimal = 2\n", "observation.1.decimal", "decimal", "did you mean 'decimals'?"),
        (ENV + "[[action]]\nky = 'a'\nname.en = 'a'\n", "action.0.ky", "ky", "did you mean 'key'?"),
        (
            ENV + "[[derived]]\nkey='a'\nname.en='a'\nexpresion='x'\n",
            "derived.0.expresion",
            "expresion",
            "'expression'",
        ),
        (ENV + "[[grid]]\npth = 'image'\n", "grid.0.pth", "pth", "did you mean 'path'?"),
        ("extend = 'Y'\n" + ENV, "extend", "extend", "did you mean 'extends'?"),
        (ENV + "[[symmetries]]\nflips = ['x']\n", "symmetries.0.flips", "flips", "did you mean 'flip'?"),
        (REFERENCE + "seed = [1]\n", "reference.random.seed", "seed", "did you mean 'seeds'?"),
        (ENV + "[reference.random]\nmaen = 1\nsource = 's'\n", "reference.random.maen", "maen", "did you mean 'mean'?"),
        (ENV + "[reference.randm]\nmean = 1\nsource = 's'\n", "reference.randm", "randm", "did you mean 'random'?"),
        (ENV + "[zzzz]\n", "zzzz", "zzzz", "use one of action, derived, extends, facts, grid, history, horizon, id,"),
    ],
)
def test_unknown_key_of_an_environment_card(tmp_path: Path, text: str, key: str, received: str, fix: str) -> None:
    error = env_error(tmp_path, text)
    assert error.rule == f"{tmp_path / 'card.toml'}: unknown key {key!r}"
    assert error.got == received
    assert fix in error.fix
    assert "file" not in error.fix


@pytest.mark.parametrize(
    ("text", "key", "fix"),
    [
        ("algoritm = 'x'\n" + AGENT, "algoritm", "did you mean 'algorithm'?"),
        (OVERRIDE + "n_env = 4\n", "environment.0.n_env", "did you mean 'n_envs'?"),
        (
            OVERRIDE + "[environment.hyperparameter]\n",
            "environment.0.hyperparameter",
            "did you mean 'hyperparameters'?",
        ),
    ],
)
def test_unknown_key_of_an_agent_card(tmp_path: Path, text: str, key: str, fix: str) -> None:
    error = agent_error(tmp_path, text)
    assert error.rule == f"{tmp_path / 'card.toml'}: unknown key {key!r}"
    assert error.fix == fix


@pytest.mark.parametrize(
    ("text", "key", "present"),
    [
        ("task.en = 'Go.'\n", "id", ["task"]),
        (ENV + "[[observation]]\nkey = 'x'\n", "observation.0.name", ["key"]),
        (ENV + "[reference.random]\nmean = 1\n", "reference.random.source", ["mean"]),
    ],
)
def test_missing_key(tmp_path: Path, text: str, key: str, present: list[str]) -> None:
    error = env_error(tmp_path, text)
    assert error.rule == f"{tmp_path / 'card.toml'}: the key {key!r} is required"
    assert error.got == present


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id = 'X-v0'\ntask.zh = '走'\n", "the language 'en' is required (at 'task')"),
        (FIELD.replace("name.en", "name.zh"), "the language 'en' is required (at 'observation.0.name')"),
        (FIELD + "labels.0.zh = '左'\n", "the language 'en' is required (at 'observation.0.labels.0')"),
        (
            "id = 'X-v0'\ntask.en = 'Hold it for 200 steps.'\n",
            "write a fixed number as a word ('two hundred') (at 'task",
        ),
        (FIELD + "unit = '0.1 m'\n", "write a fixed number as a word ('two hundred') (at 'observation.0.unit')"),
        (FIELD + "decimals = 7\n", "less than or equal to 6 (at 'observation.0.decimals')"),
        (FIELD.replace("'x'", "'X'").replace('"x"', '"X"'), "(at 'observation.0.key')"),
        ("horizon = 0\n" + ENV, "(at 'horizon')"),
        (FIELD + FIELD[len(ENV) :], "the key 'x' is used twice"),
        (FIELD + "[facts]\nx = 'desc'\n", "the key 'x' is used twice"),
        (FIELD + "expression = 'y'\n", "fields with one stand under [[derived]] (at 'observation')"),
        (FIELD.replace("observation", "derived"), "the derived field 'x' has an expression and no path"),
        (FIELD + "[[symmetries]]\nflip = ['x', 'xx']\n", "flips 'xx', which is no key of this card; did you mean 'x'?"),
        (
            FIELD + "[[symmetries]]\nswap = [['x', 'xx']]\n",
            "swaps 'xx', which is no key of this card; did you mean 'x'?",
        ),
    ],
)
def test_wrong_value_of_an_environment_card(tmp_path: Path, text: str, said: str) -> None:
    error = env_error(tmp_path, text)
    assert error.rule.startswith(f"{tmp_path / 'card.toml'}: ")
    assert said in error.rule
    assert error.fix == "see 'A card, line by line' in CONTRIBUTING.md"


@pytest.mark.parametrize(
    "algorithm",
    [
        "os.system",
        "PPO",
        "stable_baselines3.common.base_class.BaseAlgorithm",
        "stable_baselines3.PPO\\n",
        "stable_baselines3x.PPO",
        "my.stable_baselines3.PPO",
    ],
)
def test_an_algorithm_outside_of_sb3_is_refused(tmp_path: Path, algorithm: str) -> None:
    error = agent_error(tmp_path, f'name = "x"\nalgorithm = "{algorithm}"\n')
    assert "an algorithm is a class of stable_baselines3 or sb3_contrib" in error.rule
    assert "(at 'algorithm')" in error.rule


@pytest.mark.parametrize("load", [load_env_card, load_agent_card])
def test_files_that_are_no_cards(tmp_path: Path, load: type) -> None:
    for path, rule in [(tmp_path / "none.toml", "a card is a readable file"), (tmp_path, "a card is a readable file")]:
        with pytest.raises(CardError, match=rule) as caught:
            load(path)
        assert caught.value.got == str(path)
    for content in (b"id = ", b"id = '\xff'"):
        (path := tmp_path / "card.toml").write_bytes(content)
        with pytest.raises(CardError, match="a card is valid TOML") as caught:
            load(path)
        assert str(caught.value.got).startswith(f"{path}: ")
    with pytest.raises(CardError, match="'file' is set by rmgym"):
        load(write(tmp_path, "file = 'x'\n" + ENV))


BASE = ENV + 'horizon = 9\n[reference.random]\nmean = 1.0\nsource = "us"\n'


def test_a_card_takes_what_it_does_not_say_from_the_card_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    path = write(tmp_path, 'extends = "base.toml"\nid = "Y-v0"\n[task]\nzh = "走。"\nen = "Walk."\n')
    card, base = load_env_card(path), load_env_card(tmp_path / "base.toml")
    assert (card.id, card.task, card.extends) == ("Y-v0", {"en": "Walk.", "zh": "走。"}, "base.toml")
    assert (card.horizon, card.reference) == (9, base.reference)
    whole = write(tmp_path, BASE.replace("X-v0", "Y-v0").replace('"Go."', '"Walk."\ntask.zh = "走。"'))
    assert load_env_card(whole).hash == card.hash  # said in one file or in two, it is the same


def test_extending_reaches_over_several_cards(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "family.toml").write_text('extends = "base.toml"\nid = "X-*"\nhorizon = 5\n')
    card = load_env_card(write(tmp_path, 'extends = "family.toml"\nid = "X-v3"\n'))
    assert (card.id, card.horizon, card.task["en"]) == ("X-v3", 5, "Go.")


@pytest.mark.parametrize("base", ["card.toml", "../card.toml", "/card.toml"])
def test_a_card_extends_another_in_its_folder(tmp_path: Path, base: str) -> None:
    error = env_error(tmp_path, f'extends = "{base}"\n' + ENV)
    assert "'extends' is the name of another card, in the same folder or of rmgym's own" in error.rule
    assert error.got == base


def test_a_card_extends_one_of_rmgyms_own_even_of_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "MiniGrid.toml").write_text('extends = "MiniGrid.toml"\nid = "MiniGrid-*"\nhistory = 2\n')
    card, own = load_env_card(tmp_path / "MiniGrid.toml"), find_env_card("MiniGrid-Unlock-v0")
    assert own is not None
    assert (card.history, card.grid, card.task) == (2, own.grid, own.task)


def test_a_circle_of_extending_cards_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('extends = "card.toml"\nid = "X-*"\n')
    assert "does not lead back here" in env_error(tmp_path, 'extends = "other.toml"\nid = "X-v0"\n').rule


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    error = env_error(tmp_path, 'extends = "gone.toml"\n' + ENV)
    assert error.got == "gone.toml"


def test_what_extends_names_is_a_string(tmp_path: Path) -> None:
    assert "extends" in str(env_error(tmp_path, "extends = 1\n" + ENV))


def test_an_agent_card_extends_nothing(tmp_path: Path) -> None:
    assert "unknown key 'extends'" in agent_error(tmp_path, 'extends = "base.toml"\n' + AGENT).rule


@pytest.mark.parametrize("load", [load_env_card, load_agent_card])
@pytest.mark.parametrize("text", [DEEP_TOML, f"a = {DEEP_ENOUGH}\n"])
def test_a_card_nested_too_deeply_is_refused(tmp_path: Path, load: type, text: str) -> None:
    with pytest.raises(CardError, match=r"card\.toml: it is nested deeper"):
        load(write(tmp_path, text))


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_card_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "card.toml", kind)
    with pytest.raises(CardError, match="a card is a readable file"):
        load_env_card(tmp_path / "card.toml")


def test_no_file_has_such_a_name() -> None:
    with pytest.raises(CardError, match="null byte"):
        load_env_card("card\0.toml")
