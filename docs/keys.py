"""Write the tables of keys in docs/ from the dataclasses that read them, so that none can be forgotten.

python docs/keys.py            # rewrite what stands between <!-- keys: MODULE.CLASS --> and <!-- end -->
python docs/keys.py --check    # exit 1 if that would change anything
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

DOCS = Path(__file__).resolve().parent
MARK = re.compile(r"(<!-- keys: ([\w.]+)\.(\w+)((?: -\w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
"""The class, and fields that are left out because no user sets them."""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def table(kind: type, left_out: set[str]) -> str:
    """Key, type, default and meaning of a dataclass's fields."""
    hints, meanings = get_type_hints(kind), attributes(kind)
    rows = [
        f"| `{field.name}` | {in_words(hints[field.name])} | {default(field)} | {meanings[field.name]} |"
        for field in fields(kind)
        if field.name not in left_out
    ]
    return "\n".join(["| key | value | default | what it is |", "|---|---|---|---|", *rows]) + "\n"


def attributes(kind: type) -> dict[str, str]:
    """What a class's docstring says of each field, as Markdown on one line."""
    _, _, listed = inspect.getdoc(kind).partition("Attributes:\n")  # type: ignore[union-attr]
    listed = re.split(r"\n\n|\n(?=\S)", listed)[0]
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", listed + "\n", re.MULTILINE | re.DOTALL)
    plain = {name: re.sub(r"\s+", " ", text).strip().replace("``", "`") for name, text in entries}
    return {name: re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text).replace("|", r"\|") for name, text in plain.items()}


def in_words(hint: Any) -> str:
    """A type as people say it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part) for part in arguments if part is not types.NoneType)
    if origin in (list, tuple):
        return f"list of {in_words(arguments[0])}"
    if origin is dict:
        return "table"
    if isinstance(hint, type) and is_dataclass(hint):
        return f"table ({hint.__name__})"
    return WORDS.get(hint, str(getattr(hint, "__name__", hint)))


def default(field: Field[Any]) -> str:
    """A field's default."""
    if field.default is not MISSING and getattr(field.default, "default_factory", None) is None:
        plain = getattr(field.default, "default", field.default)
        return "–" if plain in (None, "") else f"`{json.dumps(plain)}`"
    empty = field.default_factory is not MISSING or field.default is not MISSING
    return "–" if empty else "required"


def written(text: str) -> str:
    """A page with its tables as they should be."""

    def fill(match: re.Match[str]) -> str:
        kind = getattr(import_module(match[2]), match[3])
        return match[1] + table(kind, {name.removeprefix("-") for name in match[4].split()}) + match[5]

    return MARK.sub(fill, text)


def main() -> None:
    """Rewrite the pages, or say which are not up to date."""
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        if (after := written(before)) != before:
            stale.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(after, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; fix: python docs/keys.py")


if __name__ == "__main__":
    main()
