"""What the code keeps to, counted: its size, its parameters, its names, its types, its rooms."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).parent.parent / "rmgym"

MOST_PARAMETERS = 10
FACES = {
    ("sb3/agents.py", "make_agent"): "the face of agents",
    ("runs/loop.py", "loop"): "the face of the loop",
    ("runs/train.py", "train"): "the face of training",
    ("transitions.py", "from_arrays"): "one for each array of a step",
}
"""Public functions that may take more, and why; commands of the command line may too."""

MOST_LINES, MEDIAN_LINES = 350, 120
ANY_PER_THOUSAND = 10
UNNAMED = {"said", "made", "found", "known", "told"}
"""Names that do not tell what they hold."""

SHARED_NAMES = {
    "base": "the Protocol of a seam, in the room of those that fulfil it",
    "contract": "the tests that whatever fulfils a seam inherits, beside its base",
}
"""Modules that several rooms may have by one name, because they do the same job in each."""

MUTATORS = {"update", "pop", "popitem", "setdefault", "clear"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """Every module by its path below ``rmgym/``."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def functions() -> Iterator[tuple[str, Function]]:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield path, node


def parameters(function: Function) -> list[ast.arg]:
    """All of them but ``self`` and ``cls``."""
    spec = function.args
    rest = [arg for arg in (spec.vararg, spec.kwarg) if arg is not None]
    return [arg for arg in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *rest] if arg.arg not in ("self", "cls")]


def is_command(path: str, function: Function) -> bool:
    """Whether a function is a command: ``rmgym NAME`` is function NAME of ``cli/NAME.py``."""
    return path == f"cli/{function.name}.py"


def bindings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that a module binds, with their lines: variables, parameters, attributes, fields, functions, keywords."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.keyword(arg=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case _:
                pass


def imports(tree: ast.Module) -> Iterator[str]:
    """Distributions and modules that a module imports, anywhere in it, by their first name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0]


def dictionaries(function: Function) -> set[str]:
    """Parameters that are declared as ``dict[...]``, alone or in a union."""
    return {
        arg.arg
        for arg in parameters(function)
        if arg.annotation is not None
        and any(
            isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == "dict"
            for part in alternatives(arg.annotation)
        )
    }


def alternatives(annotation: ast.expr) -> Iterator[ast.expr]:
    """The members of a union, or the type itself."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from alternatives(annotation.left)
        yield from alternatives(annotation.right)
    else:
        yield annotation


def changed(function: Function) -> Iterator[str]:
    """Names whose value a function changes in place: by item, by ``|=``, or by a method that does."""
    for node in ast.walk(function):
        match node:
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                yield name
            case ast.AugAssign(target=ast.Name(id=name), op=ast.BitOr()):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in MUTATORS:
                yield name
            case _:
                pass


def rebound(function: Function) -> set[str]:
    """Names that a function assigns anew, such as ``options = dict(options)``: what it changes then is its own."""
    targets = [t for node in ast.walk(function) if isinstance(node, ast.Assign) for t in node.targets]
    flat = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return {target.id for target in flat if isinstance(target, ast.Name)}


def test_functions_take_few_parameters() -> None:
    many = {
        (path, function.name): len(parameters(function))
        for path, function in functions()
        if len(parameters(function)) > MOST_PARAMETERS and not is_command(path, function)
    }
    assert {place: count for place, count in many.items() if place not in FACES} == {}
    assert set(many) == set(FACES), "a face that needs no more is no exception"


def test_files_are_short() -> None:
    lines = {path: len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in trees()}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}
    assert median(lines.values()) <= MEDIAN_LINES


def test_few_types_are_left_open() -> None:
    open_types = Counter(
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
    )
    lines = sum(len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in trees())
    assert 1000 * open_types.total() / lines < ANY_PER_THOUSAND, open_types.most_common(20)


def test_names_say_what_they_hold() -> None:
    assert [
        f"{path}:{line} {name}" for path, tree in trees().items() for name, line in bindings(tree) if name in UNNAMED
    ] == []


def test_no_two_modules_have_one_name() -> None:
    """Commands are named after what they do, which is what the module behind them is named after."""
    paths = [Path(path) for path in trees() if not path.startswith("cli/")]
    names = Counter(path.stem for path in paths if path.stem != "__init__" and path.stem not in SHARED_NAMES)
    assert {name: [str(p) for p in paths if p.stem == name] for name, count in names.items() if count > 1} == {}


def test_no_function_changes_a_dictionary_that_it_was_given() -> None:
    assert [
        f"{path}:{function.lineno} {function.name}: {name}"
        for path, function in functions()
        for name in sorted(dictionaries(function) & set(changed(function)) - rebound(function))
    ] == []


def test_stable_baselines3_is_imported_in_its_room_alone() -> None:
    assert [
        path
        for path, tree in trees().items()
        if not path.startswith("sb3/") and {"stable_baselines3", "sb3_contrib"} & set(imports(tree))
    ] == []


def test_the_counters_count() -> None:
    """Each of them sees the one thing that it is for."""
    tree = ast.parse(
        "import stable_baselines3.common\n"
        "def f(self, options: dict[str, int] | None, names: list[str], *rest, key=1, **others):\n"
        "    said = options\n"
        "    options['a'] = 1\n"
        "    names.pop()\n"
        "def g(options: dict[str, int]):\n"
        "    options = dict(options)\n"
        "    options |= {}\n"
        "g(told=1)\n"
    )
    first, second = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert [arg.arg for arg in parameters(first)] == ["options", "names", "key", "rest", "others"]
    assert dictionaries(first) == {"options"}
    assert set(changed(first)) == {"options", "names"}
    assert set(changed(second)) == rebound(second) == {"options"}
    assert {(name, line) for name, line in bindings(tree) if name in UNNAMED} == {("said", 3), ("told", 9)}
    assert list(imports(tree)) == ["stable_baselines3"]
