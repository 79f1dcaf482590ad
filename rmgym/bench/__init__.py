"""Which reward model is right, where? Grids of real runs, and a page that compares them."""

from rmgym.bench.report import write_report as write_report
from rmgym.bench.runner import run_suite as run_suite
from rmgym.bench.suite import Suite as Suite
from rmgym.bench.suite import load_suite as load_suite
from rmgym.runs.record import Run as Run
from rmgym.runs.record import read_run as read_run
from rmgym.runs.record import read_runs as read_runs

__all__ = ["Run", "Suite", "load_suite", "read_run", "read_runs", "run_suite", "write_report"]
