"""The checksum that a JSON object says of itself: a flipped bit is told by it.

It tells of damage, not of forgery: whoever can write the object can write its checksum. So one that says none, as where
somebody has written it by hand, is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_KEY = "checksum"


def signed(content: Mapping[str, object]) -> dict[str, Any]:
    """An object as JSON has it, with its checksum.

    Raises:
        TypeError: ``content`` has no JSON.
    """
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return {**plain, _KEY: _checksum(plain)}


def checked(content: Any) -> Any:
    """A JSON value as it was signed; one that is no object, or says no checksum, as it is.

    Raises:
        ValueError: it is an object with another checksum than it says.
    """
    if not isinstance(content, dict) or _KEY not in content:
        return content
    plain = {key: value for key, value in content.items() if key != _KEY}
    if content[_KEY] != _checksum(plain):
        raise ValueError("its checksum is not the one that it was written with")
    return plain


def _checksum(plain: Mapping[str, Any]) -> str:
    """SHA-256 (16 hex digits)."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
