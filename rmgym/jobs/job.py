"""A resumable piece of work: a folder and its settings.

``KIND.json`` in the folder says what the work is (``settings``), whether it is ``running`` or ``done``, what was found
out on the way (``notes``), and what came of it (``result``). It is replaced as a whole, so that a process may be killed
at any instant.

Where finished work is begun anew in its folder, the new record lies beside the old one, as ``KIND.next.json``, until
the new work is done. So the old result, and what the folder holds besides, stays whole and rightly described.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from rmgym.errors import JobError, StorageError
from rmgym.jobs.job_record import SCHEMA, Record, is_done, read_record, record_file, upcoming_file
from rmgym.jobs.settings import Json, as_json, differences
from rmgym.storage.atomic import make_folder, remove_partials, write_json
from rmgym.storage.locks import held, remove_held
from rmgym.storage.provenance import versions

Status: TypeAlias = Literal["fresh", "resumed", "done"]
"""What :meth:`Job.claim` finds: nothing to go on from, work that was begun, or work that is finished."""


class Job:
    """A piece of work in a folder: fresh, to be resumed, done, or refused because it was begun with other settings.

    Several jobs of different kinds may share a folder.

    Args:
        folder: its place, made when it is claimed.
        settings: everything that decides the outcome, and nothing else. Compared as JSON has them.
        kind: what kind of work; the record is ``KIND.json``.

    Raises:
        JobError: JSON cannot say the settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Json], *, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.settings: Mapping[str, Json] = as_json(settings, f"a {kind}")
        self._claimed = False

    @property
    def status(self) -> Literal["none", "running", "done"]:
        """How far the work in the folder is, whatever its settings; no lock is taken.

        Raises:
            JobError: the record is damaged.
        """
        record = read_record(self.folder, self.kind)
        return "none" if record is None else record.status

    @property
    def result(self) -> Json:
        """What came of the work.

        Raises:
            JobError: it is not done, or its record is damaged.
        """
        record = read_record(self.folder, self.kind)
        if record is None or record.status != "done":
            raise JobError(f"a {self.kind} has a result once it is done", got=str(self.folder), fix="run it first")
        return record.result

    @contextmanager
    def claim(
        self, *, resume: bool, overwrite: bool | None = None, clear: Callable[[], None] | None = None
    ) -> Generator[Status]:
        """Hold the folder for this work, and say what is there to go on from.

        Done work is only read: its folder need not be writable, and another process may look at it too.

        Args:
            resume: go on with what is there, which must have been begun with the same settings.
            overwrite: where ``resume`` is False, begin anew over what is there, instead of refusing it. Of finished
                work, the record stays until :meth:`finish`. None for work that is never begun anew in its folder.
            clear: removes what unfinished work has left in the folder, such as checkpoints. Called where the work
                begins anew, before that is written down: killed in between, nothing goes on from another's remains.

        Raises:
            JobError: the folder holds such work and ``resume`` and ``overwrite`` are False, or it was begun with other
                settings (also where it is done), or its record is damaged.
            BusyError: another process works there.
            StorageError: the folder cannot be written.
        """
        lock = self.folder / f".{self.kind}.lock"
        if resume and (record := self._matching(overwrite)) is not None and record.status == "done":
            if lock.exists():  # of a process that was killed right at its end, or is about to remove it
                with suppress(StorageError), held(lock, what=f"a {self.kind}'s folder", keep=False):
                    pass
            yield "done"
            return
        make_folder(self.folder, what=f"a {self.kind}")
        with held(lock, what=f"a {self.kind}'s folder"):
            with self._explained():
                status = self._begin(resume=resume, overwrite=overwrite, clear=clear)
            self._claimed = status != "done"
            try:
                yield status
            finally:
                self._claimed = False
            if self.status == "done":
                remove_held(lock)  # finished work needs none

    @property
    def notes(self) -> Mapping[str, Json]:
        """What was noted of the work that was begun last; nothing where there is none.

        Raises:
            JobError: the record is damaged.
        """
        record = read_record(self.folder, self.kind)
        return {} if record is None else record.notes

    def note(self, **facts: Json) -> None:
        """Write down what was found out on the way, in one step: it is there as soon as it is known, and is kept.

        Raises:
            StorageError: the record cannot be written; the work can be resumed.
        """
        assert self._claimed, "notes are taken by who has claimed the work"
        upcoming = upcoming_file(self.folder, self.kind)
        file = upcoming if upcoming.exists() else record_file(self.folder, self.kind)
        self._write(file, "running", None, {**self.notes, **facts})

    def finish(self, result: Json) -> None:
        """Write down that the work is done, in one step; all that it leaves must be on the disk before.

        Args:
            result: what came of it, as JSON has it.

        Raises:
            StorageError: the record cannot be written; the work can be resumed.
        """
        assert self._claimed, "work is finished by who has claimed it"
        upcoming, record = upcoming_file(self.folder, self.kind), record_file(self.folder, self.kind)
        notes = self.notes
        if upcoming.exists():
            self._write(upcoming, "done", result, notes)
            with self._explained():
                upcoming.replace(record)
        else:
            self._write(record, "done", result, notes)

    def _begin(self, *, resume: bool, overwrite: bool | None, clear: Callable[[], None] | None) -> Status:
        """What is there, once the lock is held; a record that says "running" is there afterwards, or "done"."""
        record, upcoming = record_file(self.folder, self.kind), upcoming_file(self.folder, self.kind)
        for file in (record, upcoming):
            remove_partials(file)
        if upcoming.exists() and is_done(upcoming):  # killed inside finish()
            upcoming.replace(record)
        if not resume and not overwrite and (record.exists() or upcoming.exists()):
            raise JobError(
                f"a {self.kind} has a folder of its own",
                got=str(self.folder),
                fix="pass resume=True to go on with it, "
                + ("" if overwrite is None else "overwrite=True to begin anew, ")
                + "or another folder",
            )
        if resume and (before := self._matching(overwrite)) is not None:
            return "done" if before.status == "done" else "resumed"
        if clear is not None:
            clear()
        self._write(upcoming if upcoming.exists() or is_done(record) else record, "running", None, {})
        return "fresh"

    def _matching(self, overwrite: bool | None) -> Record | None:
        """The record in the folder, if any.

        Args:
            overwrite: None where beginning anew is no way out.

        Raises:
            JobError: it is of other settings, or damaged.
        """
        record = read_record(self.folder, self.kind)
        if record is not None and (changed := "; ".join(differences(record.settings, self.settings))):
            raise JobError(
                f"a {self.kind} goes on with the settings it was begun with; {self.folder} was begun with others",
                got=changed,
                fix="use those settings"
                + ("" if overwrite is None else ", pass overwrite=True instead of resume=True to begin anew")
                + ", or choose another folder",
            )
        return record

    def _write(self, file: Path, status: Literal["running", "done"], result: Json, notes: Mapping[str, Json]) -> None:
        content = {"schema": SCHEMA, "kind": self.kind, "settings": self.settings, "status": status, "result": result}
        write_json(file, {**content, "notes": notes, "versions": versions()}, what=f"the record of a {self.kind}")

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except (StorageError, JobError):
            raise
        except OSError as error:
            raise StorageError(
                f"a {self.kind} works in a writable folder", got=f"{self.folder}: {error}", fix="choose another folder"
            ) from error
