"""Names with one beginning stand together."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym.feedback.grouping import grouped

LEGS = [f"{end} {side} {joint}" for end in ("front", "back") for side in ("left", "right") for joint in ("hip", "knee")]
ARMS = [f"right {joint} {what}" for joint in ("hip", "elbow", "hand") for what in ("angle", "speed", "torque")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["speed"], [("", ["speed"])]),
        (["speed", "height"], [("", ["speed", "height"])]),
        (
            ["left hip in rad", "height", "left knee in rad", "power"],
            [("left", ["hip in rad", "knee in rad"]), ("", ["height", "power"])],
        ),
        # Eight of one beginning are parted by the next word only where that leaves most of them in company.
        (["height", *LEGS[:4]], [("", ["height"]), ("front", ["left hip", "left knee", "right hip", "right knee"])]),
        (ARMS, [(f"right {joint}", ["angle", "speed", "torque"]) for joint in ("hip", "elbow", "hand")]),
        ([f"torso {word}" for word in "abcdefgh"], [("torso", list("abcdefgh"))]),
        ([f"value obs{i}" for i in range(20)], [("value obs", [str(i) for i in range(20)])]),
        (
            [f"value obs_{part}_{i}" for part in ("goal", "hand") for i in range(4)],
            [(f"value obs_{part}", ["0", "1", "2", "3"]) for part in ("goal", "hand")],
        ),
        (["hip", "hip speed", "hip-speed"], [("hip", ["", "speed", "-speed"])]),
        (
            ["躯干高度 (m)", "左前髋角", "躯干前倾", "左前踝角"],
            [("躯干", ["高度 (m)", "前倾"]), ("左前", ["髋角", "踝角"])],
        ),
        (["->", "+", "a"], [("", ["->", "+", "a"])]),
    ],
)  # fmt: skip
def test_groups(names: list[str], expected: list[tuple[str, list[str]]]) -> None:
    assert [(group.heading, [*group.labels.values()]) for group in grouped(names)] == expected


@given(st.lists(st.text("ab0 _-左右", max_size=8), unique=True, max_size=30))
def test_every_name_is_in_one_group_which_says_all_of_it(names: list[str]) -> None:
    groups = grouped(names)
    assert sorted(name for group in groups for name in group.labels) == sorted(names)
    for group in groups:
        for name, label in group.labels.items():
            assert re.findall(r"\w", f"{group.heading} {label}".replace("_", "")) == re.findall(
                r"\w", name.replace("_", "")
            )
