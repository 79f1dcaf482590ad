"""Pieces of work that can be killed at any instant and resumed, and the processes that do them."""

from rmgym.jobs.job import Job, Status
from rmgym.jobs.job_record import Record, read_record
from rmgym.jobs.settings import Json

__all__ = ["Job", "Json", "Record", "Status", "read_record"]
