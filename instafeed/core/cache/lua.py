"""Lua scripts kept as files beside the module that runs them, sent by their digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

Argument = str | bytes | int


class Script:
    """One script; calling it costs one round trip, two right after Redis has lost it (restart, flush)."""

    def __init__(self, source: str) -> None:
        self._script = redis.Redis().register_script(source)

    @classmethod
    def from_files(cls, *paths: Path) -> Script:
        """The files' texts one after another: shared functions first, the script last."""
        return cls("\n".join(path.read_text() for path in paths))

    def __call__(self, client: redis.Redis, names: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        return self._script(keys=names, args=arguments, client=client)
