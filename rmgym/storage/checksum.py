"""The checksum that a JSON object says of itself: a flipped bit is told by it.

It tells of damage, not of forgery: whoever can write the object can write its checksum. One that says none is damaged
too, or a flipped bit in the key's name would hide any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_KEY = "checksum"


def signed_json(content: Mapping[str, object]) -> bytes:
    """JSON text of an object with its checksum, in UTF-8; half a surrogate pair, as in a file's name, is written out.

    Raises:
        TypeError: ``content`` has no JSON.
    """
    text = json.dumps(signed(content), indent=2, ensure_ascii=False)
    return text.encode(errors="backslashreplace")  # which is how JSON writes one


def signed(content: Mapping[str, object]) -> dict[str, Any]:
    """An object as JSON has it, with its checksum.

    Raises:
        TypeError: ``content`` has no JSON.
    """
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return {**plain, _KEY: _checksum(plain)}


def checked(content: Any) -> dict[str, Any]:
    """A JSON object as it was signed.

    Raises:
        ValueError: it is no object, or one with another checksum than it says, or without any.
    """
    if not isinstance(content, dict):
        raise ValueError(f"no object, but {content!r:.40}")
    if _KEY not in content:
        raise ValueError(f"it has no key {_KEY!r}, which rmgym writes into it")
    plain = {key: value for key, value in content.items() if key != _KEY}
    if content[_KEY] != _checksum(plain):
        raise ValueError("its checksum is not the one that it was written with")
    return plain


def _checksum(plain: Mapping[str, Any]) -> str:
    """SHA-256 (16 hex digits)."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
