"""One reader of options: every misspelt key names its place and the nearest valid key, at any depth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym.composition import Composition
from rmgym.errors import CardError, FitError, ModelError, RunError
from rmgym.options import read_options, refuse_unknown
from rmgym.training import FitOptions


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A nested value."""

    radius: float = 0.3
    spokes: int = 36


@dataclass(frozen=True, kw_only=True)
class Bicycle:
    """Every way of nesting."""

    name: str
    gears: tuple[int, ...] = (1,)
    front: Wheel | None = None
    spare: list[Wheel] = field(default_factory=list)
    pair: tuple[Wheel, ...] = ()
    sold: dict[Literal["new", "used"], Wheel] = field(default_factory=dict)
    anywhere: dict[str, Wheel] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)
    stock: str = ""

    def __post_init__(self) -> None:
        if self.name == "none":
            raise RunError("a bicycle has a name", got=self.name, fix="name it")


WHOLE = {
    "name": "tourer",
    "gears": [1, 2, 3],
    "front": {"radius": 0.35},
    "spare": [{"spokes": 32}, {}],
    "pair": [{}],
    "sold": {"used": {"radius": 1}},
    "anywhere": {"shed": {}},
    "free": {"spoks": {"radios": 1}},
}


def read(values: dict[str, object]) -> Bicycle:
    return read_options(Bicycle, values, "shop.toml", CardError, "see the manual", internal={"stock": "here"})


def test_values_of_a_file_become_the_declared_types() -> None:
    assert read(WHOLE) == Bicycle(
        name="tourer",
        gears=(1, 2, 3),
        front=Wheel(radius=0.35),
        spare=[Wheel(spokes=32), Wheel()],
        pair=(Wheel(),),
        sold={"used": Wheel(radius=1.0)},
        anywhere={"shed": Wheel()},
        free={"spoks": {"radios": 1}},
        stock="here",
    )


@pytest.mark.parametrize(
    ("values", "rule", "got", "fix"),
    [
        ({"nmae": "x"}, "unknown key 'nmae'", "nmae", "did you mean 'name'?"),
        ({"name": "x", "stock": "mine"}, "unknown key 'stock'", "stock", "use one of"),
        ({"name": "x", "front": {"spoks": 1}}, "unknown key 'front.spoks'", "spoks", "did you mean 'spokes'?"),
        ({"name": "x", "spare": [{}, {"radus": 1}]}, "unknown key 'spare.1.radus'", "radus", "did you mean 'radius'?"),
        ({"name": "x", "pair": [{"radus": 1}]}, "unknown key 'pair.0.radus'", "radus", "did you mean 'radius'?"),
        ({"name": "x", "sold": {"usd": {}}}, "unknown key 'sold.usd'", "usd", "did you mean 'used'?"),
        ({"name": "x", "sold": {"new": {"a": 1}}}, "unknown key 'sold.new.a'", "a", "use one of radius, spokes"),
        ({"name": "x", "anywhere": {"b": {"a": 1}}}, "unknown key 'anywhere.b.a'", "a", "use one of radius, spokes"),
        ({"gears": [1]}, "the key 'name' is required", ["gears"], "add it; see the manual"),
        ({"name": "x", "front": {"spokes": "many"}}, "(at 'front.spokes')", "many", "see the manual"),
        ({"name": "x", "front": 7}, "(at 'front')", 7, "see the manual"),
        ({"name": "x", "spare": "none"}, "(at 'spare')", "none", "see the manual"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], rule: str, got: object, fix: str) -> None:
    with pytest.raises(CardError) as caught:
        read(values)
    assert caught.value.rule.startswith("shop.toml: ")
    assert rule in caught.value.rule
    assert caught.value.got == got
    assert fix in caught.value.fix
    assert "stock" not in caught.value.fix


def test_the_dataclass_own_refusal_comes_through() -> None:
    with pytest.raises(RunError, match="a bicycle has a name"):
        read({"name": "none"})


@given(st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=3) | st.none(), max_size=4))
def test_unknown_keys_are_exactly_those_that_are_no_fields(values: dict[str, object]) -> None:
    valid = {option.name for option in fields(Wheel)}
    if set(values) <= valid:
        refuse_unknown(Wheel, values, "wheel")
    else:
        with pytest.raises(ModelError, match="wheel: unknown key") as caught:
            refuse_unknown(Wheel, values, "wheel")
        assert caught.value.got in set(values) - valid


@given(st.builds(Wheel, radius=st.floats(allow_nan=False), spokes=st.integers(-(2**62), 2**62)))
def test_what_was_written_is_read_back(wheel: Wheel) -> None:
    assert read_options(Wheel, asdict(wheel), "wheel") == wheel


def test_a_fit_and_a_composition_are_read_by_it() -> None:
    assert FitOptions.of({"max_steps": 7, "patience": None}) == FitOptions(max_steps=7, patience=None)
    with pytest.raises(FitError, match=r"(?s)suite.toml: unknown key 'max_step'.*did you mean 'max_steps'"):
        FitOptions.of({"max_step": 7}, "suite.toml")
    with pytest.raises(FitError, match=r"max_steps is at least 1"):
        FitOptions.of({"max_steps": 0})
    with pytest.raises(FitError, match=r"(?s)at 'schedule'"):
        FitOptions.of({"schedule": "cosin"})
    with pytest.raises(RunError, match=r"(?s)options of a composition: unknown key.*did you mean 'true_weight'"):
        Composition.of({"true_wieght": 1.0})
    with pytest.raises(RunError, match="finite number"):
        Composition.of({"true_weight": "1"})
