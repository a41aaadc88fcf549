"""Lua scripts for Redis, sent by their digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

Argument = str | bytes | int
Command = tuple[Argument, ...]  # for `instafeed.core.cache.commands`

_sources: dict[str, bytes] = {}  # by digest


class Script:
    """A Lua script. A call costs one round trip, or two right after Redis lost the script (restart, flush)."""

    def __init__(self, source: str) -> None:
        self._script = redis.Redis().register_script(source)
        _sources[self._script.sha] = source.encode()

    @classmethod
    def from_files(cls, *paths: Path) -> Script:
        """Build a script from files, joined in order: shared functions first, the script last."""
        return cls("\n".join(path.read_text(encoding="utf-8") for path in paths))

    def __call__(self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        return self._script(keys=keys, args=arguments, client=client)

    def command(self, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Command:
        """Return a call of the script as one of several commands (`instafeed.core.cache.commands`)."""
        return ("EVALSHA", self._script.sha, len(keys), *keys, *arguments)


def with_source(command: Command) -> Command:
    """Return a command of `Script.command` with the script's source instead of its digest."""
    return ("EVAL", _sources[str(command[1])], *command[2:])
