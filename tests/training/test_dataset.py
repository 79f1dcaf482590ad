import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.models.neural import encode
from rmgym.training.dataset import Collator, LabelData, LabelStream, shuffled, split_groups
from tests.training.small import TEMPLATES, both, make_preferences, make_ratings


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 5),
)
def test_a_split_keeps_groups_whole_and_every_row(groups: list[int], fraction: float, seed: int) -> None:
    rows = np.array(groups)
    train, held_out = split_groups(rows, fraction, seed)
    assert sorted([*train, *held_out]) == list(range(len(rows)))
    assert not set(rows[train]) & set(rows[held_out])
    assert len(held_out) <= 2 * fraction * len(rows)
    again = split_groups(rows, fraction, seed)
    assert np.array_equal(again[0], train)


def test_a_split_holds_out_the_share_asked_for_and_differs_by_seed() -> None:
    groups = np.repeat(np.arange(50), 4)
    splits = [split_groups(groups, 0.1, seed)[1] for seed in range(5)]
    assert [len(s) for s in splits] == [20] * 5
    assert len({tuple(s) for s in splits}) == 5


def test_a_group_that_is_most_of_the_labels_is_never_held_out() -> None:
    groups = np.array([0] * 80 + list(range(1, 21)))
    for seed in range(20):
        train, held_out = split_groups(groups, 0.1, seed)
        assert 0 not in groups[held_out]
        assert len(held_out) == 10
        assert len(train) == 90


def test_a_stream_draws_every_item_once_before_any_twice() -> None:
    stream = LabelStream(np.array([3, 5, 7, 9]), length=10, seed=0)
    drawn = [stream[i] for i in range(len(stream))]
    assert [position for position, _ in drawn] == list(range(10))
    items = [item for _, item in drawn]
    assert sorted(items[:4]) == sorted(items[4:8]) == [3, 5, 7, 9]
    assert [LabelStream(np.array([3, 5, 7, 9]), length=10, seed=0)[i] for i in range(10)] == drawn
    other = LabelStream(np.array([3, 5, 7, 9]), length=100, seed=1)
    assert [other[i][1] for i in range(10)] != items


def test_ratings_are_standardised_and_segments_point_behind_them() -> None:
    labels = both(make_ratings(10), make_preferences(4, lengths=(2,)))
    data = LabelData.of(labels, offset=2.0, scale=4.0)
    assert labels.ratings is not None
    assert labels.preferences is not None
    assert data.target.numpy() == pytest.approx((labels.ratings.values - 2) / 4)
    assert data.segments.tolist()[0] == [[10, 12], [12, 14]]
    assert data.rows(np.array([1, 10])).tolist() == [1, 10, 11, 12, 13]
    assert len(data.encoded.values) == 10 + 16


def test_a_batch_encodes_the_texts_of_its_labels_and_no_others() -> None:
    labels = both(make_ratings(10), make_preferences(4, lengths=(1, 3)))
    data = LabelData.of(labels, offset=0.0, scale=1.0)
    batch = Collator(data)([(0, 7), (1, 11), (2, 7), (3, 10)])
    rows = [7, 10, 11, 12, 13, 14, 15, 16, 17]  # the rating, pair 10 of one step each, pair 11 of three
    expected = encode(labels.texts[rows])
    assert batch["inputs"].templates == expected.templates
    for name in ("template_index", "values", "mask"):
        assert torch.equal(getattr(batch["inputs"], name), getattr(expected, name))
    assert batch["rated"].tolist() == [0, 0]
    assert batch["step"].tolist() == [3, 4, 5, 1, 6, 7, 8, 2]  # left of 11, left of 10, right of 11, right of 10
    assert batch["segment"].tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    assert batch["weight"].tolist() == [1.0] * 8
    assert labels.preferences is not None
    assert batch["choice"].tolist() == labels.preferences.choice[[1, 0]].tolist()


def test_only_templates_that_occur_reach_the_model() -> None:
    data = LabelData.of(make_ratings(20), offset=0.0, scale=1.0)
    left = [i for i, t in enumerate(data.encoded.template_index.tolist()) if data.encoded.templates[t] == TEMPLATES[0]]
    inputs = data.encoded.take(torch.tensor(left))
    assert inputs.templates == (TEMPLATES[0],)
    assert inputs.template_index.tolist() == [0] * len(left)


def test_random_steps_of_a_segment_estimate_its_sum_without_bias() -> None:
    labels = make_preferences(2, lengths=(5,))
    data = LabelData.of(labels, offset=0.0, scale=1.0)
    collate = Collator(data, steps_per_segment=2, seed=3)
    values = data.encoded.values[:5, 0].double().numpy()
    estimates = []
    for position in range(1000):
        batch = collate([(position, 0)])
        mine = batch["segment"] == 0
        assert int(mine.sum()) == 2
        assert batch["weight"].tolist() == [2.5] * 4
        where = batch["step"][mine]
        assert len(set(where.tolist())) == 2
        estimates.append(float(batch["inputs"].values[where, 0].sum()) * 2.5)
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - values.sum()) < 4 * error


def test_random_steps_depend_on_the_position_alone() -> None:
    data = LabelData.of(make_preferences(8, lengths=(9,)), offset=0.0, scale=1.0)
    drawn = [(64, 0), (65, 1), (66, 2)]
    fresh = Collator(data, steps_per_segment=3, seed=1)(drawn)
    used = Collator(data, steps_per_segment=3, seed=1)
    used([(0, 5), (1, 6)])
    assert torch.equal(used(drawn)["inputs"].values, fresh["inputs"].values)
    assert not torch.equal(used([(67, 0), (68, 1), (69, 2)])["inputs"].values, fresh["inputs"].values)


def test_shuffled_labels_are_the_same_labels_at_other_texts() -> None:
    labels = both(make_ratings(50), make_preferences(50))
    mixed = shuffled(labels, 0)
    assert labels.ratings is not None
    assert mixed.ratings is not None
    assert sorted(mixed.ratings.values) == sorted(labels.ratings.values)
    assert not np.array_equal(mixed.ratings.values, labels.ratings.values)
    assert mixed.ratings.texts is labels.ratings.texts
    assert labels.preferences is not None
    assert mixed.preferences is not None
    assert mixed.preferences.choice.sum() == labels.preferences.choice.sum()
    assert not np.array_equal(mixed.preferences.choice, labels.preferences.choice)


@given(st.floats(0.05, 0.99), st.integers(0, 2**20))
def test_both_sides_of_a_pair_are_cropped_to_one_length_inside_their_segments(crop: float, position: int) -> None:
    labels = make_preferences(6, lengths=(1, 7, 12))
    data = LabelData.of(labels, offset=0.0, scale=1.0)
    batch = Collator(data, crop=crop, seed=2)([(position, i) for i in range(6)])
    for pair in range(6):
        whole = int(data.segments[pair, 0, 1] - data.segments[pair, 0, 0])
        sizes = [int((batch["segment"] == side).sum()) for side in (pair, 6 + pair)]
        assert sizes[0] == sizes[1]
        assert np.ceil(crop * whole) <= sizes[0] <= whole
        margin = data.margin[pair] * sizes[0] / whole
        assert float(batch["margin"][pair]) == pytest.approx(float(margin), rel=1e-5)
    assert batch["weight"].tolist() == [1.0] * len(batch["weight"])


def test_crops_come_from_all_over_a_segment() -> None:
    data = LabelData.of(make_preferences(1, lengths=(5,)), offset=0.0, scale=1.0)
    collate = Collator(data, crop=0.4, seed=0)
    first = data.encoded.values[:5, 0].tolist()
    seen = set[tuple[float, ...]]()
    for position in range(300):
        batch = collate([(position, 0)])
        seen.add(tuple(batch["inputs"].values[batch["step"][batch["segment"] == 0], 0].tolist()))
    assert seen == {tuple(first[a : a + n]) for n in (2, 3, 4, 5) for a in range(6 - n)}
