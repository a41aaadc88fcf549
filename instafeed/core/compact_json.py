"""JSON as instafeed caches and sends it: UTF-8 without spaces. Equal values give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def encode(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return `value` as JSON. `default` converts what JSON has no form for; without it TypeError is raised."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default).encode()
