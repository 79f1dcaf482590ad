"""What a user gets: cards in a checkout, in an editable install and from a wheel, from wherever Python is started."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SHOW = """
import json, rmgym
from rmgym.cards import agent_cards, env_cards
cards = [*env_cards(), *agent_cards()]
print(json.dumps({"rmgym": rmgym.__file__, "cards": sorted(card.file for card in cards)}))
"""


def show(*, cwd: Path, first: Path | None = None) -> dict[str, Any]:
    """Run Python in ``cwd`` (which ``-P`` keeps off sys.path) with ``first`` first on the path; where is what?"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if first is not None:
        environment["PYTHONPATH"] = str(first)
    command = [sys.executable, "-P", "-c", SHOW]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cards_in(folder: Path) -> list[str]:
    """The cards that should be found, as absolute paths."""
    return sorted(str(path) for kind in ("envs", "agents") for path in (folder / kind).glob("*.toml"))


@pytest.fixture(scope="module", params=["repository root", "elsewhere"])
def cwd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return REPOSITORY if request.param == "repository root" else tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git gives, without caches and environments."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("rmgym", "envs", "agents"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from the checkout by the real backend."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what pip installs from the wheel."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def test_the_project_has_cards() -> None:
    assert len(list((REPOSITORY / "envs").glob("*.toml"))) >= 1
    assert len(list((REPOSITORY / "agents").glob("*.toml"))) >= 1


def test_cards_in_a_checkout(checkout: Path, cwd: Path) -> None:
    found = show(cwd=cwd, first=checkout)
    assert found == {"rmgym": str(checkout / "rmgym/__init__.py"), "cards": cards_in(checkout)}


def test_cards_in_an_editable_install(cwd: Path) -> None:
    origin = json.loads(distribution("rmgym").read_text("direct_url.json") or "{}")
    assert origin == {"url": REPOSITORY.as_uri(), "dir_info": {"editable": True}}, "run 'make lint' to install it so"
    found = show(cwd=cwd)
    assert found == {"rmgym": str(REPOSITORY / "rmgym/__init__.py"), "cards": cards_in(REPOSITORY)}


def test_cards_from_a_wheel(installed: Path, cwd: Path) -> None:
    found = show(cwd=cwd, first=installed)
    assert found == {"rmgym": str(installed / "rmgym/__init__.py"), "cards": cards_in(installed / "rmgym")}
    names = [Path(card).name for card in found["cards"]]
    assert names == [Path(card).name for card in cards_in(REPOSITORY)]


def test_cards_of_another_distribution_and_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    (info := tmp_path / "theirs-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rmgym.cards]\ntheirs = their_cards\n")
    (envs := tmp_path / "their_cards/envs").mkdir(parents=True)
    (tmp_path / "their_cards/__init__.py").touch()
    (envs / "Their-v0.toml").write_text('id = "Their-v0"\ntask.en = "Go."\n')
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(installed)])}
    command = [sys.executable, "-P", "-c", SHOW]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    cards = json.loads(done.stdout)["cards"]
    assert cards == sorted([str(envs / "Their-v0.toml"), *cards_in(installed / "rmgym")])


def test_what_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
        said = configparser.ConfigParser()
        said.read_string(archive.read(points).decode())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    assert dict(said["console_scripts"]) == {"rmgym": "rmgym.cli.main:app"}
    assert "rmgym/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0\n" in metadata
    assert {name.partition("/")[0] for name in names} == {"rmgym", Path(points).parent.name}
    sources = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "rmgym").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    page = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "rmgym/ui").glob("*/*.[hcj]*")}
    prompts = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "rmgym/judge/prompts").iterdir()}
    assert {"rmgym/judge/prompts/rating-1.txt", "rmgym/judge/prompts/preference-3.txt"} <= prompts <= set(names)
    assert {"rmgym/ui/templates/page.html", "rmgym/ui/static/ui.css", "rmgym/ui/static/ui.js"} <= page <= set(names)


def test_every_third_party_import_is_a_declared_dependency() -> None:
    declared = [*PROJECT["dependencies"], *(d for extra in PROJECT["optional-dependencies"].values() for d in extra)]
    names = {_normal(re.split(r"[\[<>=; ]", requirement)[0]) for requirement in declared}
    provided_by = packages_distributions()
    undeclared = set[str]()
    for path in (REPOSITORY / "rmgym").rglob("*.py"):
        for module in _imports(path):
            owners = {_normal(owner) for owner in provided_by.get(module, [module])}
            if module not in (*sys.stdlib_module_names, "rmgym") and not owners & names:
                undeclared.add(f"{path.relative_to(REPOSITORY)} imports {module}")
    assert undeclared == set()


def test_the_lower_bounds_are_those_that_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from floors import AS_PINNED, EXTRAS, bounds

    result = json.loads((REPOSITORY / "benchmarks" / "results" / "floors.json").read_text(encoding="utf-8"))
    tried = {(cell["asked_by"], cell["package"]): cell["floor"] for cell in result["cells"]}
    assert tried == {(who, name): floor for who, packages in bounds().items() for name, floor in packages.items()}
    assert set(PROJECT["optional-dependencies"]) - set(EXTRAS) == {"ui", "data", "ray", "docs", "dev"}
    assert Version(bounds()["rmgym"][AS_PINNED]) <= Version(result["versions"]["torch"].partition("+")[0])
    assert all(claim["holds"] for claim in result["claims"])


def _imports(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports, anywhere in it."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
