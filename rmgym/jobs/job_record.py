"""The record of a job on disk: what the work is, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rmgym.errors import JobError
from rmgym.jobs.settings import Json
from rmgym.storage.foreign import read_json

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a record file says.

    Attributes:
        settings: what decides the outcome.
        status: ``running`` (also of work that was killed) or ``done``.
        result: what came of it, None while it runs.
        notes: what was found out on the way (:meth:`rmgym.jobs.Job.note`).
        versions: of the packages that began it.
    """

    settings: Mapping[str, Json]
    status: Literal["running", "done"]
    result: Json
    notes: Mapping[str, Json]
    versions: Mapping[str, str]


def read_record(folder: Path, kind: str) -> Record | None:
    """The record of the work that was begun last in a folder; None where there is none.

    Raises:
        JobError: it is damaged, or was written by another version of rmgym.
    """
    for file in (upcoming_file(folder, kind), record_file(folder, kind)):
        with suppress(FileNotFoundError, NotADirectoryError):
            return _read(file, kind)
    return None


def _read(file: Path, kind: str) -> Record:
    """One record file.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: nor can there be one.
        JobError: it is damaged.
    """
    try:
        content = read_json(file)
        if content["schema"] != SCHEMA or content["kind"] != kind or content["status"] not in ("running", "done"):
            raise ValueError(f"schema {content['schema']}, kind {content['kind']}, status {content['status']}")
        for name in ("settings", "notes", "versions"):
            if not isinstance(content[name], dict):
                raise ValueError(f"{name} {content[name]!r:.40}")
        return Record(
            settings=content["settings"],
            status=content["status"],
            result=content["result"],
            notes=content["notes"],
            versions=content["versions"],
        )
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(
            f"{file.name} is the record of a {kind}, as rmgym writes it",
            got=f"{file}: {error!r}",
            fix="choose another folder, or begin anew in this one",
        ) from error


def is_done(file: Path) -> bool:
    """Whether a record says "done"; a damaged one says nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return bool(read_json(file)["status"] == "done")
    return False


def record_file(folder: Path, kind: str) -> Path:
    """The record of finished work, or of work that was begun where there was none."""
    return folder / f"{kind}.json"


def upcoming_file(folder: Path, kind: str) -> Path:
    """The record of work that was begun anew over finished work, until it is done."""
    return folder / f"{kind}.next.json"
