"""A folder is fresh, resumed, done or refused, and a process may be killed at any instant."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import BusyError, JobError, StorageError
from rmgym.jobs import Job, read_record
from rmgym.jobs.settings import as_json, differences
from rmgym.storage.atomic import write_json
from rmgym.storage.checksum import signed
from rmgym.storage.foreign import read_json
from rmgym.storage.locks import held
from rmgym.storage.provenance import versions
from tests.disks import small_disk

SETTINGS: dict[str, Any] = {"seed": 1, "options": {"lr": 0.1, "layers": (64, 64), "name": None}}
NEW: dict[str, Any] = {**SETTINGS, "seed": 2}


def finished(folder: Path, given: dict[str, Any] = SETTINGS, result: Any = 42) -> Job:
    job = Job(folder, given, kind="fit")
    with job.claim(resume=True) as status:
        assert status == "fresh"
        job.finish(result)
    return job


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fresh_then_resumed_then_done(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert Job(folder, SETTINGS, kind="fit").status == "none"
    for expected in ("fresh", "resumed", "resumed"):
        job = Job(folder, SETTINGS, kind="fit")
        with job.claim(resume=True) as status:
            assert status == expected
            assert job.status == "running"
        with pytest.raises(JobError, match="once it is done"):
            _ = job.result
    with job.claim(resume=True):
        job.finish({"loss": 0.5})
    for each in (job, Job(folder, SETTINGS, kind="fit")):
        with each.claim(resume=True) as status:
            assert status == "done"
        assert (each.status, each.result) == ("done", {"loss": 0.5})
    assert names(folder) == ["fit.json"]


def test_the_record_is_json_that_says_everything(tmp_path: Path) -> None:
    finished(tmp_path)
    record = json.loads((tmp_path / "fit.json").read_text())
    assert record == signed(
        {
            "schema": 1,
            "kind": "fit",
            "settings": {"seed": 1, "options": {"lr": 0.1, "layers": [64, 64], "name": None}},
            "status": "done",
            "result": 42,
            "notes": {},
            "versions": versions(),
        }
    )


def test_a_record_with_a_flipped_bit_is_damaged(tmp_path: Path) -> None:
    finished(tmp_path)
    file = tmp_path / "fit.json"
    file.write_text(file.read_text().replace('"result": 42', '"result": 43'))
    with pytest.raises(JobError, match="not the one that it was written with"):
        read_record(tmp_path, "fit")


@pytest.mark.parametrize("done", [False, True])
def test_other_settings_are_refused_by_name(tmp_path: Path, done: bool) -> None:
    job = Job(tmp_path, SETTINGS, kind="fit")
    with job.claim(resume=True):
        if done:
            job.finish(1)
    before = (tmp_path / "fit.json").read_bytes()
    other = {"seed": 1, "options": {"lr": 0.2, "layers": [64], "new": {}}, "more": True}
    with pytest.raises(JobError) as caught, Job(tmp_path, other, kind="fit").claim(resume=True):
        pass
    assert caught.value.got == (
        "more: (not there) -> True; options.layers: [64, 64] -> [64]; options.lr: 0.1 -> 0.2; "
        "options.name: None -> (not there); options.new: (not there) -> {}"
    )
    assert str(tmp_path) in caught.value.rule
    assert (tmp_path / "fit.json").read_bytes() == before


@pytest.mark.parametrize("done", [False, True])
def test_a_folder_in_use_is_refused_without_resume(tmp_path: Path, done: bool) -> None:
    job = Job(tmp_path, SETTINGS, kind="run")
    with job.claim(resume=False) as status:
        assert status == "fresh"
        if done:
            job.finish(1)
    with pytest.raises(JobError, match="resume=True"), Job(tmp_path, SETTINGS, kind="run").claim(resume=False):
        pass


def test_jobs_of_two_kinds_share_a_folder(tmp_path: Path) -> None:
    outer, inner = Job(tmp_path, SETTINGS, kind="distil"), Job(tmp_path, NEW, kind="fit")
    with outer.claim(resume=True), inner.claim(resume=True):
        inner.finish(1)
        assert (outer.status, inner.status) == ("running", "done")
        outer.finish(2)
    assert (outer.result, inner.result) == (2, 1)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 2}', '"done"', b"\xff\xfe", None])
def test_a_damaged_record_is_an_error_in_words_and_may_be_begun_over(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "fit.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    job = Job(tmp_path, SETTINGS, kind="fit")
    for look in (lambda: job.status, lambda: job.result, lambda: job.claim(resume=True).__enter__()):
        with pytest.raises(JobError, match=r"fit\.json is the record of a fit") as caught:
            look()
        assert caught.value.fix
    if content is not None:
        with job.claim(resume=False, overwrite=True) as status:
            assert status == "fresh"
            job.finish(3)
        assert job.result == 3


@pytest.mark.parametrize("key", ["schema", "kind", "settings", "status", "result", "versions"])
def test_a_record_without_one_of_its_keys_is_damaged(tmp_path: Path, key: str) -> None:
    finished(tmp_path)
    content = read_json(tmp_path / "fit.json")
    del content[key]
    write_json(tmp_path / "fit.json", content)
    with pytest.raises(JobError, match="is the record"):
        read_record(tmp_path, "fit")


def test_finished_work_stays_until_the_new_work_is_done(tmp_path: Path) -> None:
    finished(tmp_path)
    before = (tmp_path / "fit.json").read_bytes()
    new = Job(tmp_path, NEW, kind="fit")
    for resume, expected in ((False, "fresh"), (True, "resumed"), (False, "fresh"), (True, "resumed")):
        with new.claim(resume=resume, overwrite=True) as status:
            assert status == expected
            assert (tmp_path / "fit.json").read_bytes() == before
            assert new.status == "running"
    with pytest.raises(JobError, match="seed: 2 -> 1"), Job(tmp_path, SETTINGS, kind="fit").claim(resume=True):
        pass
    with new.claim(resume=True):
        new.finish("new")
    assert new.result == "new"
    assert names(tmp_path) == ["fit.json"]


def test_killed_between_the_two_steps_of_finishing_anew_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path)
    new = Job(tmp_path, NEW, kind="fit")
    with new.claim(resume=False, overwrite=True):
        new.finish("new")
    (tmp_path / "fit.json").rename(tmp_path / "fit.next.json")
    finished_before = Job(tmp_path / "before", SETTINGS, kind="fit")
    with finished_before.claim(resume=True):
        finished_before.finish(42)
    (tmp_path / "before" / "fit.json").rename(tmp_path / "fit.json")
    assert (new.status, new.result) == ("done", "new")
    with new.claim(resume=True) as status:
        assert status == "done"
    with Job(tmp_path, SETTINGS, kind="fit").claim(resume=False, overwrite=True):
        record = json.loads((tmp_path / "fit.json").read_text())
        assert (record["settings"]["seed"], record["result"]) == (2, "new")  # what was done last


def test_remains_are_cleared_before_the_new_record_and_only_where_work_begins_anew(tmp_path: Path) -> None:
    states: list[str] = []
    job = Job(tmp_path, SETTINGS, kind="fit")
    new = Job(tmp_path, NEW, kind="fit")

    def clear() -> None:
        record = read_record(tmp_path, "fit")
        states.append("none" if record is None else f"{record.settings['seed']} {record.status}")

    for each, resume in ((job, True), (job, True), (new, False), (new, True)):
        with each.claim(resume=resume, overwrite=True, clear=clear):
            pass
    assert states == ["none", "1 running"]


def test_a_failure_while_clearing_leaves_the_old_record(tmp_path: Path) -> None:
    job = Job(tmp_path, SETTINGS, kind="fit")
    with job.claim(resume=True):
        pass

    def clear() -> None:
        raise PermissionError(13, "denied")

    with (
        pytest.raises(StorageError, match="writable folder"),
        Job(tmp_path, NEW, kind="fit").claim(resume=False, overwrite=True, clear=clear),
    ):
        pass
    with job.claim(resume=True) as status:
        assert status == "resumed"


def test_a_second_process_is_refused_and_done_work_may_be_looked_at(tmp_path: Path) -> None:
    work = f"""
import sys, time
from pathlib import Path
from rmgym.jobs import Job
job = Job(Path({str(tmp_path)!r}), {NEW!r}, kind="fit")
with job.claim(resume=False, overwrite=True):
    print("claimed", flush=True)
    sys.stdin.readline()
    job.finish("theirs")
"""
    finished(tmp_path)
    command = [sys.executable, "-c", work]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        job = Job(tmp_path, NEW, kind="fit")
        with (
            pytest.raises(BusyError, match="one process at a time works on a fit's folder"),
            job.claim(resume=True),
        ):
            pass
        with pytest.raises(BusyError), job.claim(resume=False, overwrite=True):
            pass
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(60) == 0
    with job.claim(resume=True) as status, Job(tmp_path, NEW, kind="fit").claim(resume=True) as again:
        assert status == again == "done"
    assert job.result == "theirs"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_done_work_in_a_folder_that_is_not_writable_is_read(tmp_path: Path) -> None:
    job = finished(tmp_path)
    tmp_path.chmod(0o500)
    try:
        with job.claim(resume=True) as status:
            assert status == "done"
    finally:
        tmp_path.chmod(0o700)


def test_the_lock_of_who_was_killed_right_at_the_end_goes_with_the_next_look(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 100) as disk:
        job = finished(disk.folder)
        assert names(disk.folder) == ["fit.json"]
        (disk.folder / ".fit.lock").touch()
        with held(disk.folder / ".fit.lock", what="it"), job.claim(resume=True) as status:
            assert status == "done"
        assert names(disk.folder) == [".fit.lock", "fit.json"], "it was held"
        with job.claim(resume=True) as status:
            assert status == "done"
            assert names(disk.folder) == ["fit.json"]
        (disk.folder / ".fit.lock").touch()
        disk.read_only()
        with job.claim(resume=True) as status:
            assert status == "done"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    job = Job(tmp_path / "file" / "fit", SETTINGS, kind="fit")
    with pytest.raises(StorageError, match="writable folder"), job.claim(resume=True):
        pass


def test_an_error_in_the_work_comes_through_and_the_work_can_be_resumed(tmp_path: Path) -> None:
    job = Job(tmp_path, SETTINGS, kind="fit")
    with pytest.raises(OSError, match="mine") as caught, job.claim(resume=True):
        raise OSError("mine")
    assert not isinstance(caught.value, StorageError)
    with job.claim(resume=True) as status:
        assert status == "resumed"


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", Path("x")])
def test_settings_that_json_cannot_say_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(JobError, match="the settings of a fit are numbers, strings"):
        Job(tmp_path, {"a": [value]}, kind="fit")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)
mappings = st.dictionaries(st.text(), values, max_size=5)


@given(given_settings=mappings)
@settings(max_examples=200, deadline=None)
def test_settings_written_and_read_back_are_the_same(given_settings: dict[str, Any]) -> None:
    now = as_json(given_settings, "a fit")
    assert list(differences(json.loads(json.dumps(now)), now)) == []
    assert list(differences(now, as_json(now, "a fit"))) == []


@given(old=mappings, new=mappings)
@settings(max_examples=200, deadline=None)
def test_differences_are_found_both_ways_and_only_where_there_are_any(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, now = as_json(old, "a fit"), as_json(new, "a fit")
    changed, back = list(differences(before, now)), list(differences(now, before))
    assert len(changed) == len(back)
    if not changed:
        assert json.dumps(_without_points(before), sort_keys=True) == json.dumps(_without_points(now), sort_keys=True)


def _without_points(value: Any) -> Any:
    """JSON in which 1.0 and 1 look the same."""
    if isinstance(value, dict):
        return {key: _without_points(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_points(part) for part in value]
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (math.nan, math.nan, True),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, 0, False),
        ("1", 1, False),
        ([1, {"a": math.nan}], [1, {"a": math.nan}], True),
        ([1, True], [1, 1], False),
        ([], {}, False),
        ({}, {"a": None}, False),
        ([1, 2], [2, 1], False),
    ],
)
def test_what_is_the_same(old: Any, new: Any, same: bool) -> None:
    assert (not list(differences({"x": old}, {"x": new}))) is same


KILLED = """
import json, sys
from pathlib import Path
from rmgym.jobs import Job
from rmgym.storage.atomic import write_json
folder = Path(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    job = Job(folder, {"number": number, "filler": "x" * 50_000}, kind="fit")
    with job.claim(resume=False, overwrite=True) as status:
        assert status == "fresh"
        write_json(folder / "work.json", {"number": number})
        job.finish(number)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")
def test_killed_at_random_instants_it_can_always_be_resumed(tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.01, 0.2))
            process.kill()
        record = read_record(tmp_path, "fit")
        assert record is not None
        job = Job(tmp_path, record.settings, kind="fit")
        with job.claim(resume=True) as status:
            assert status == ("done" if record.status == "done" else "resumed")
            if status == "done":
                assert job.result == record.settings["number"]
            else:
                file = tmp_path / "fit.json"
                if (tmp_path / "fit.next.json").exists():  # what was done before is whole and says what it was
                    old = json.loads(file.read_text())
                    assert (old["status"], old["result"]) == ("done", old["settings"]["number"])
                job.finish(record.settings["number"])
        assert job.result == record.settings["number"]
        with job.claim(resume=False, overwrite=True):
            pass  # also clears what was half written
        assert names(tmp_path) == [".fit.lock", "fit.json", "fit.next.json", "work.json"] or not list(
            tmp_path.glob(".fit*.partial")
        )


def test_notes_are_there_while_it_runs_and_stay(tmp_path: Path) -> None:
    job = Job(tmp_path, SETTINGS, kind="fit")
    assert job.notes == {}
    with job.claim(resume=True):
        job.note(first=[1, 2])
        assert (job.notes, job.status) == ({"first": [1, 2]}, "running")
        job.note(second="b")
    with job.claim(resume=True) as status:  # killed and resumed
        assert status == "resumed"
        assert job.notes == {"first": [1, 2], "second": "b"}
        job.finish(42)
    assert (job.notes, job.result) == ({"first": [1, 2], "second": "b"}, 42)
    with job.claim(resume=False, overwrite=True):  # anew: what was found out before is found out again
        assert job.notes == {}
        job.note(first=3)
    assert json.loads((tmp_path / "fit.json").read_text())["notes"] == {"first": [1, 2], "second": "b"}
