"""Plain triples: any strings, no environment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import FeedbackError
from rmgym.feedback.preprocess import describe_pair, preprocess

KITCHEN = [
    ("锅里的水温是 20 度，还没有煮开", "开大火加热", 5),
    ("锅里的水温是 95 度，快要煮开了", "开大火加热", 4),
    ("锅里的水温是 100 度，水已经煮开", "开大火加热", 2),
    ("锅里的水温是 100 度，水已经煮开", "下面条", 5),
    ("锅里的水温是 20 度，还没有煮开", "下面条", 1),
    ("面条煮了 3 分钟，还是硬的", "关火盛面", 1),
    ("面条煮了 8 分钟，软硬刚好", "关火盛面", 5),
    ("面条煮了 20 分钟，已经煮烂", "继续煮", 1),
    ("面条煮了 3 分钟，还是硬的", "继续煮", 4),
    ("面条已经盛好", "加一点葱花", 3),
]
"""Ten lines with ratings 1 to 5: the example of issue 2."""


def test_ten_chinese_lines_become_labels():
    labels = preprocess(KITCHEN)
    assert len(labels) == 10
    assert labels.preferences is None
    assert labels.ratings.values.tolist() == [5, 4, 2, 5, 1, 1, 5, 1, 4, 3]
    assert labels.ratings.groups.tolist() == list(range(10))
    assert labels.texts.language == "zh"
    assert labels.texts.card_hash is None
    assert labels.texts.strings() == [f"状态: {s} 行动: {a}" for s, a, _ in KITCHEN]
    assert labels.texts.numbers.tolist() == [20, 95, 100, 100, 20, 3, 8, 20, 3]  # the last line holds none


@pytest.mark.parametrize(
    ("state", "action", "language", "expected"),
    [
        ("warm", "open the window", None, "State: warm Action: open the window"),
        ("warm", "开窗", None, "状态: warm 行动: 开窗"),
        ("warm", "开窗", "en", "State: warm Action: 开窗"),
        ([0.5, -0.25], 1, None, "State: 0.5000, -0.2500 Action: 1"),
        (np.float32([[1, -0.0]]), np.int64(-3), None, "State: 1.0000, 0.0000 Action: -3"),
        ([-0.00001, 2e7 + 1], np.int64([20000001]), None, "State: -1.0000e-05, 20000001.0000 Action: 20000001"),
        (3.14159265, np.array([1, 2]), "zh", "状态: 3.1416 行动: 1, 2"),
    ],
)
def test_a_pair_in_words(state, action, language, expected):
    assert describe_pair(state, action, language) == expected


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text(), st.text(), st.integers(1, 5)), min_size=2).filter(
        lambda t: len({r for *_, r in t}) > 1
    )
)
def test_any_strings_come_back_as_they_were(triples):
    labels = preprocess(triples)
    assert labels.texts.strings() == [describe_pair(s, a) for s, a, _ in triples]
    assert labels.ratings.values.tolist() == [r for *_, r in triples]


def test_a_pair_has_one_text_among_others_and_alone():
    triples = [("warm", "open the window", 1), ("warm", "开窗", 5), ("水温 80 度", "加热", 3)]
    labels = preprocess(triples)
    said = ["State: warm Action: open the window", "状态: warm 行动: 开窗", "状态: 水温 80 度 行动: 加热"]
    assert labels.texts.strings() == [describe_pair(s, a) for s, a, _ in triples] == said
    assert [preprocess([t, ("x", "y", 9)]).texts.strings()[0] for t in triples] == said
    english = preprocess(triples, language="en").texts.strings()
    assert english == [describe_pair(s, a, "en") for s, a, _ in triples]
    assert all(text.startswith("State: ") for text in english)


@pytest.mark.parametrize(
    ("triples", "rule"),
    [
        ([], "made from triples"),
        ([("a", "b", 1.0), ("c", "d", 1.0)], "rewards differ"),
        ([("a", "b", 1.0)], "rewards differ"),
        ([("a", "b", 1.0), ("c", "d", float("nan"))], "triple 1"),
        ([("a", "b", 1.0), ("c", "d")], r"\(state, action, reward\)"),
        ([("a", "b", "good")], r"\(state, action, reward\)"),
        ([([1.0, float("inf")], "b", 1.0)], "text or finite numbers"),
        ([({"x": 1}, "b", 1.0)], "text or finite numbers"),
    ],
)
def test_bad_triples_are_explained(triples, rule):
    with pytest.raises(FeedbackError, match=rule):
        preprocess(triples)


def test_an_unknown_language_is_explained():
    with pytest.raises(FeedbackError, match="known language"):
        preprocess([("a", "b", 1), ("c", "d", 2)], language="de")
