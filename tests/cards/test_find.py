"""Cards are found by the most specific id, by path, and in other distributions, whose cards go first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rmgym.cards import agent_cards, env_cards, find_agent_card, find_env_card
from rmgym.errors import CardError

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution ``somecards`` whose entry point offers the cards given as ``path=text``."""

    def run(files: dict[str, str], package: str = "somecards_package") -> Path:
        info = tmp_path / "somecards-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.4\nName: somecards\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[rmgym.cards]\nmine = {package}\n")
        (tmp_path / "somecards_package").mkdir()
        (tmp_path / "somecards_package/__init__.py").write_text("raise RuntimeError('looking for cards ran code')\n")
        for name, text in files.items():
            path = tmp_path / "somecards_package" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        env_cards.cache_clear()
        agent_cards.cache_clear()
        return tmp_path / "somecards_package"

    yield run
    env_cards.cache_clear()
    agent_cards.cache_clear()


def env(env_id: str, task: str = "Go.") -> str:
    return f'id = "{env_id}"\ntask.en = "{task}"\n'


def test_the_most_specific_pattern_wins(install: Install) -> None:
    patterns = ["Hop-*", "Hop-Far-*", "Hop-Far-v*", "Hop-Far-v1"]
    install({f"envs/{i}.toml": env(pattern) for i, pattern in enumerate(patterns)})
    found = {e: card.id if (card := find_env_card(e)) else None for e in ("Hop-Far-v1", "Hop-Far-v2", "Hop-v0", "Hop")}
    assert found == {"Hop-Far-v1": "Hop-Far-v1", "Hop-Far-v2": "Hop-Far-v*", "Hop-v0": "Hop-*", "Hop": None}


def test_cards_of_another_distribution_go_before_our_own(install: Install) -> None:
    package = install(
        {
            "envs/Pendulum-v1.toml": env("Pendulum-v1", "Theirs."),
            "agents/ppo.toml": 'name = "ppo"\nalgorithm = "stable_baselines3.A2C"\n',
            "agents/notes.txt": "not a card",
        }
    )
    card = find_env_card("Pendulum-v1")
    assert card is not None
    assert (card.task["en"], card.file) == ("Theirs.", str(package / "envs/Pendulum-v1.toml"))
    assert find_agent_card("PPO").algorithm == "stable_baselines3.A2C"


@pytest.mark.parametrize("package", ["not_installed", "not_installed.sub", "somecards_package:cards", "json.decoder"])
def test_an_entry_point_that_names_no_package_is_refused(install: Install, package: str) -> None:
    install({}, package)
    with pytest.raises(CardError, match=rf"importable package\n  received: mine = {package}\n  fix: .*somecards"):
        env_cards()


def test_a_card_by_path(tmp_path: Path) -> None:
    (path := tmp_path / "mine.toml").write_text(env("Mine-v*"))
    card = find_env_card("Mine-v3", path)
    assert card is not None
    assert card.id == "Mine-v*"
    with pytest.raises(CardError, match=r"'Mine-v\*' matches\n  received: Other-v3\n  fix: widen 'id' in .*mine\.toml"):
        find_env_card("Other-v3", path)


def test_an_agent_card_by_name_and_by_path(install: Install) -> None:
    text = 'name = "{}"\nalgorithm = "stable_baselines3.PPO"\n'
    package = install({"agents/hopper.toml": text.format("hopper"), "mine.toml": text.format("mine")})
    assert find_agent_card("Hopper").name == "hopper"
    assert find_agent_card(package / "mine.toml").name == "mine"
    with pytest.raises(CardError, match=r"received: hoper\n  fix: did you mean 'hopper'\?"):
        find_agent_card("hoper")


def test_our_own_cards_are_unambiguous() -> None:
    ids, names = [card.id for card in env_cards()], [card.name for card in agent_cards()]
    assert sorted(ids) == sorted(set(ids)) != []
    assert sorted(names) == sorted(set(names)) != []


def test_a_module_before_an_id_is_no_part_of_it() -> None:
    card = find_env_card("some.module:Pendulum-v1")
    assert card is not None
    assert card.id == "Pendulum-v1"
    ppo = find_agent_card("ppo")
    assert ppo.override_for("some.module:Pendulum-v1") == ppo.override_for("Pendulum-v1") is not None
