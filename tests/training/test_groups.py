import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.text import TextBatch
from rmgym.training.groups import alike_of, groups_of


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30))
def test_labels_that_share_an_episode_or_a_text_are_one_group(rated: list[tuple[int, int]]) -> None:
    said, episode = np.array(rated).T
    texts = TextBatch.from_strings([f"position {i}" for i in said])
    groups = groups_of(Labels(ratings=Ratings(texts=texts, values=said.astype(np.float32), groups=episode)))
    joined = (said[:, None] == said) | (episode[:, None] == episode)
    for _ in rated:  # what is joined by way of others, by hand
        joined = joined @ joined
    assert np.array_equal(groups[:, None] == groups, joined)


def test_comparisons_share_a_group_with_whatever_holds_one_of_their_texts() -> None:
    steps = TextBatch.from_strings([f"position {i}" for i in (0, 1, 2, 3, 4, 5, 5, 6, 7, 8)])
    pairs = Preferences(
        steps=steps,
        left=np.array([[0, 2], [4, 6], [8, 9]]),
        right=np.array([[2, 4], [6, 8], [9, 10]]),
        choice=np.array([1, 0, 1], np.float32),
        margin=np.zeros(3, np.float32),
        groups=np.array([10, 11, 12]),
    )
    texts = TextBatch.from_strings(["position 9", "position 3", "position 9"])
    ratings = Ratings(texts=texts, values=np.array([1, 2, 3], np.float32), groups=np.array([3, 2, 1]))
    assert groups_of(Labels(ratings=ratings, preferences=pairs)).tolist() == [1, 2, 1, 2, 11, 12]
    assert groups_of(Labels(preferences=pairs)).tolist() == [10, 11, 12]


def test_ratings_of_one_episode_by_one_value_tell_the_same_and_comparisons_each_their_own() -> None:
    texts = TextBatch.from_strings([f"position {i}" for i in range(5)])
    ratings = Ratings(texts=texts, values=np.array([1, 2, 1, 1, 2], np.float32), groups=np.array([0, 0, 1, 0, 0]))
    pairs = Preferences(
        steps=TextBatch.from_strings([f"position {i}" for i in range(4)]),
        left=np.array([[0, 1], [2, 3]]),
        right=np.array([[1, 2], [3, 4]]),
        choice=np.ones(2, np.float32),
        margin=np.zeros(2, np.float32),
        groups=np.zeros(2, np.int64),
    )
    assert alike_of(Labels(ratings=ratings, preferences=pairs)).tolist() == [0, 1, 2, 0, 1, 3, 4]
    assert alike_of(Labels(preferences=pairs)).tolist() == [0, 1]
