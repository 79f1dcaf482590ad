"""Transitions keep every bit on disk, never lose an old file, and keep episodes apart."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rmgym.errors import RmgymError
from rmgym.storage import parquet
from rmgym.transitions import ARRAY_FIELDS, Transitions
from rmgym.trees import leaves
from tests.hostile import DEEP_JSON, damaged, harmless


def some(size: int = 3, **changes: Any) -> Transitions:
    obs = np.arange(size * 2, dtype=np.float32).reshape(size, 2)
    given = {"true_reward": -np.arange(size), "metadata": {"env_id": "X-v0", "seed": 7}, **changes}
    return Transitions.from_arrays(obs, np.arange(size), obs + 1, **given)


def everything(steps: Transitions) -> dict[str, np.ndarray]:
    return leaves({name: getattr(steps, name) for name in ARRAY_FIELDS})


def assert_same(left: Transitions, right: Transitions) -> None:
    a_leaves, b_leaves = everything(left), everything(right)
    assert a_leaves.keys() == b_leaves.keys()
    for name, a in a_leaves.items():
        b = b_leaves[name]
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert left.metadata == right.metadata


def test_what_is_not_given() -> None:
    batch = Transitions.from_arrays([[1.0], [2.0]], [0, 1], [[2.0], [3.0]])
    assert batch.terminated.tolist() == batch.truncated.tolist() == [False, False]
    assert batch.terminated is not batch.truncated
    assert np.isnan(batch.true_reward).all()
    assert batch.true_reward.dtype == np.float32
    assert batch.episode.tolist() == [0, 0]
    assert batch.step.tolist() == [0, 1]
    assert batch.metadata == {}
    assert len(batch) == 2


@pytest.mark.parametrize("name", ["true_reward", "episode", "step"])
def test_arrays_of_another_length_are_refused(name: str) -> None:
    with pytest.raises(RmgymError, match=rf"one entry per step(?s:.)*'{name}': 4"):
        some(3, **{name: np.zeros(4)})


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="true_rewards"):
        Transitions.from_arrays([1], [1], [1], true_rewards=[1])  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(slice(1, None), [1, 2]), ([2, 0], [2, 0]), (np.array([True, False, True]), [0, 2]), (slice(0, 0), [])],
)
def test_rows_are_selected_in_every_array(rows: Any, expected: list[int]) -> None:
    past = ({"there": np.array([False, True, True]), "obs": {"x": np.arange(3)}, "action": np.arange(3)},)
    batch = some(3, past=past)
    chosen = everything(batch[rows])
    for name, leaf in everything(batch).items():
        np.testing.assert_array_equal(chosen[name], leaf[expected], err_msg=name)
    assert batch[rows].metadata == batch.metadata


def test_concatenate_keeps_episodes_apart() -> None:
    first = some(3, episode=[0, 0, 4])
    second = some(0)
    third = some(2, episode=[0, 1], terminated=[True, False], metadata={"seed": 8})
    joined = Transitions.concatenate([first, second, third])
    assert joined.episode.tolist() == [0, 0, 4, 5, 6]
    assert joined.terminated.tolist() == [False, False, False, True, False]
    assert joined.true_reward.tolist() == [0, -1, -2, 0, -1]
    assert joined.metadata == {"env_id": "X-v0", "seed": 7}
    assert first.episode.tolist() == [0, 0, 4]


def test_concatenating_nothing_is_refused() -> None:
    with pytest.raises(RmgymError, match="at least one batch"):
        Transitions.concatenate([])


dtypes = st.sampled_from([np.bool_, np.uint8, np.int8, np.int64, np.float16, np.float32, np.float64]).map(np.dtype)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3)


@given(data=st.data(), size=st.integers(0, 4), obs_shape=shapes, action_shape=shapes)
@settings(max_examples=40)
def test_save_and_load_give_the_same_bits(
    data: st.DataObject,
    size: int,
    obs_shape: tuple[int, ...],
    action_shape: tuple[int, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def draw(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return data.draw(hnp.arrays(dtype, (size, *shape)))

    obs_dtype, action_dtype = data.draw(dtypes), data.draw(dtypes)
    batch = Transitions.from_arrays(
        draw(obs_shape, obs_dtype),
        draw(action_shape, action_dtype),
        draw(obs_shape, obs_dtype),
        draw((), np.dtype(bool)),
        draw((), np.dtype(bool)),
        true_reward=draw((), np.dtype(np.float32)),
        episode=draw((), np.dtype(np.int64)),
        metadata={"env_id": "飞-v0", "kwargs": {"desc": ["SF", "FG"], "slip": None}},
    )
    path = tmp_path_factory.mktemp("round") / "steps.parquet"
    assert batch.save(path) == path
    assert_same(Transitions.load(path), batch)


def test_a_loaded_batch_is_writable_and_the_path_adds_nothing(tmp_path: Path) -> None:
    # torch.from_numpy warns of read-only arrays; Parquet readers take "step=3" folders for a column "step".
    path = some().save(tmp_path / "step=3" / "steps.parquet")
    loaded = Transitions.load(path)
    assert_same(loaded, some())
    assert all(leaf.flags.writeable for leaf in everything(loaded).values())


@pytest.mark.parametrize("failing", ["write", "sync", "rename"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = some(3).save(tmp_path / "steps.parquet")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    where = {"write": (pq, "write_table"), "sync": (os, "fsync"), "rename": (os, "replace")}
    monkeypatch.setattr(*where[failing], full)
    with pytest.raises(RmgymError, match=r"enough space(?s:.)*No space left(?s:.)*intact"):
        some(5).save(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["steps.parquet"]
    assert path.read_bytes() == before


def test_saving_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RmgymError, match="writable folder"):
        some().save(tmp_path / "file" / "steps.parquet")


@pytest.mark.parametrize("action", [np.array(["left", "right"]), np.zeros((2, 0)), np.zeros(2, ">f4")])
def test_arrays_that_parquet_would_change_are_refused(tmp_path: Path, action: Any) -> None:
    batch = Transitions.from_arrays([0.0, 1.0], action, [1.0, 2.0])
    with pytest.raises(RmgymError, match=r"native byte order\n  received: action"):
        batch.save(tmp_path / "steps.parquet")
    assert list(tmp_path.iterdir()) == []


def test_no_flipped_bit_loads_as_other_steps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = np.array([("x", i) for i in range(20)] + [None], object)[:20]
    obs = {"a": rng.normal(size=(20, 3)).astype(np.float32), "words": words}
    steps = Transitions.from_arrays(obs, rng.integers(0, 3, 20), obs, true_reward=rng.normal(size=20))
    path = steps.save(tmp_path / "steps.parquet")
    whole, refused = path.read_bytes(), 0
    for place in rng.choice(len(whole), 200, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert_same(Transitions.load(path), steps)
        except RmgymError:
            refused += 1
    assert refused > 100
    path.write_bytes(whole)
    assert_same(Transitions.load(path), steps)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "garbage", "truncated", "foreign", "column missing"])
def test_what_rmgym_did_not_write_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "steps.parquet"
    whole = some(100).save(tmp_path / "whole.parquet")
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage":
        path.write_bytes(b"PAR1" + bytes(range(256)) * 8)
    elif kind == "truncated":
        path.write_bytes(whole.read_bytes()[:-100])
    elif kind == "foreign":
        pq.write_table(pa.table({"obs": [1.0]}), path)
    elif kind == "column missing":
        table = pq.read_table(whole)
        pq.write_table(table.drop_columns(["next_obs"]), path)
    with pytest.raises(RmgymError, match=r"written by rmgym\n  received: .*steps\.parquet(?s:.)*rmgym collect"):
        Transitions.load(path)


def with_checksum(table: pa.Table) -> pa.Table:
    """A table with the SHA-256 that belongs to it, as somebody would write it who knows how; if it can have one."""
    about = table.schema.metadata[b"rmgym"]
    with suppress(ValueError):
        return table.replace_schema_metadata({"rmgym": about, "sha256": parquet._sha256(about, table)})
    return table.replace_schema_metadata({"rmgym": about, "sha256": "0"})


def test_a_file_that_somebody_else_wrote_is_read_or_refused(tmp_path: Path) -> None:
    whole = pq.read_table(
        Transitions.from_arrays({"a": [0.0, 1.0], "b": [1, 2]}, [0, 1], [1.0, 2.0]).save(tmp_path / "w")
    )
    about = json.loads(whole.schema.metadata[b"rmgym"])
    columns = (["x", "y"], [None, 1.0], [2**60, 1], [[1], [2]], [{"a": 1}, {"a": 2}], ['["graph"]', '["tuple", 5]'])
    bombs = (['["array", "S999999999999", [1], ["x"]]'] * 2, [DEEP_JSON] * 2, ['["array", "f4", [-7], [1]]'] * 2)
    tables = [(where, whole.replace_schema_metadata({"rmgym": json.dumps(c)})) for where, c in damaged(about)]
    tables += [(text[:9], whole.replace_schema_metadata({"rmgym": text})) for text in (DEEP_JSON, "[]", "5", "{")]
    for i, name in enumerate(whole.column_names):
        in_json = {"rmgym": json.dumps({**about, "shapes": {**about["shapes"], name: "json"}})}
        for column in (*columns, *bombs):
            table = whole.set_column(i, name, pa.array(column))
            tables += [(f"{name} {column!s:.40}", t) for t in (table, table.replace_schema_metadata(in_json))]
    for what, table in tables:
        signed = with_checksum(table.replace_schema_metadata(table.schema.metadata or whole.schema.metadata))
        pq.write_table(signed, tmp_path / "t")
        with harmless(what):
            steps = Transitions.load(tmp_path / "t")
            assert (steps.terminated.dtype, steps.episode.dtype) == (np.bool_, np.int64)


@pytest.mark.parametrize(
    ("name", "column", "why"),
    [
        ("terminated", [0.0, 1.0], "'terminated' is no column of bool"),
        ("episode", ["0", "1"], "'episode' holds string, where numbers belong"),
        ("true_reward", pa.array([1.0, None], pa.float32()), "'true_reward' has empty places"),
    ],
)
def test_a_column_of_another_type_is_refused_by_its_name(tmp_path: Path, name: str, column: Any, why: str) -> None:
    table = pq.read_table(some(2).save(tmp_path / "whole.parquet"))
    table = table.set_column(table.column_names.index(name), name, pa.array(column))
    pq.write_table(with_checksum(table), tmp_path / "steps.parquet")
    with pytest.raises(RmgymError, match=why) as caught:
        Transitions.load(tmp_path / "steps.parquet")
    assert "steps.parquet" in str(caught.value)
