"""Lua scripts for Redis, sent by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

Argument = str | bytes | int
Command = tuple[Argument, ...]  # for `instafeed.core.cache.commands`: a name, keys and arguments

_sources: dict[str, bytes] = {}  # by digest


class Script:
    """A Lua script, as a command that names it by its digest (`instafeed.core.cache.commands`)."""

    def __init__(self, source: str) -> None:
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # as Redis names it
        _sources[self._digest] = source.encode()

    @classmethod
    def from_files(cls, *paths: Path) -> Script:
        """Build a script from files, joined in order: shared functions first, the script last."""
        return cls("\n".join(path.read_text(encoding="utf-8") for path in paths))

    def command(self, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Command:
        """Return a call of the script. In a cluster its keys must lie in one bucket."""
        return ("EVALSHA", self._digest, len(keys), *keys, *arguments)


def with_source(command: Command) -> Command:
    """Return a command of `Script.command` with the script's source instead of its digest."""
    return ("EVAL", _sources[str(command[1])], *command[2:])
