"""The parts of commands: what one command, or several MGETs, become on a Redis Cluster.

The keys of MGET, UNLINK and EXISTS may lie in any buckets. There is a part for each bucket, and all MGETs of a call
share theirs. Any other command is one part, because its keys lie in one bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hiredis import pack_command
from redis.cluster import ClusterNode

from instafeed.core.cache.buckets import hash_slot
from instafeed.core.cache.lua import Command

_SPREAD = ("MGET", "UNLINK", "EXISTS")  # all of their arguments are keys, which may lie on several servers
_SCRIPTS = ("EVALSHA", "EVAL")
_MANY = 16  # keys
_ASKING = pack_command(("ASKING",))


class Part:
    """A command for one server: one of the caller's, or the keys of one bucket of those whose keys are spread.

    `targets` says of each spread key to which command it belongs, and where it is among the keys of that; otherwise it
    has the command's index only. `asked` is the server that an ASK names.
    """

    __slots__ = ("asked", "command", "reply", "slot", "targets")

    def __init__(self, command: list[Any], slot: int, targets: list[tuple[int, int]]) -> None:
        self.command, self.slot, self.targets = command, slot, targets
        self.reply: Any = None
        self.asked: ClusterNode | None = None

    @property
    def keys(self) -> list[str]:
        return list(self.command[_key_span(self.command)])

    def pack(self, generation: str) -> bytes:
        """Return the bytes to send, with the generation before each key. It must not change the slot."""
        command, span = self.command, _key_span(self.command)
        before, names, after = command[: span.start], command[span], command[span.stop :]
        if "{" not in names[0]:  # the whole key is its tag
            names = [f"{{{name}}}" for name in names]
        packed: bytes
        if len(names) < _MANY:
            packed = pack_command((*before, *[generation + name for name in names], *after))
        else:
            packed = b"*%d\r\n%b%b%b" % (len(command), _pack(before), _pack_keys(names, generation), _pack(after))
        return _ASKING + packed if self.asked is not None else packed

    def split_by_key(self) -> list[Part]:
        """Return a part for each of the spread keys: while a slot moves, several cannot be on two servers at once."""
        return [
            Part([self.command[0], key], self.slot, [target])
            for key, target in zip(self.command[1:], self.targets, strict=True)
        ]


def split(commands: Sequence[Command]) -> list[Part]:
    """Return the parts of the commands of a call."""
    parts: list[Part] = []
    reads: dict[str, Part] = {}  # by the beginning of their keys, before the tag ends
    for index, command in enumerate(commands):
        name = command[0]
        if name not in _SPREAD:
            key = str(command[3 if name in _SCRIPTS else 1])
            parts.append(Part(list(command), slot(key.partition("}")[0]), [(index, 0)]))
            continue
        by_beginning = reads if name == "MGET" else {}
        for position, key in enumerate(command[1:]):  # type: ignore[assignment]  # they are all text
            beginning = key.partition("}")[0]
            part = by_beginning.get(beginning)
            if part is None:
                part = by_beginning[beginning] = Part([name], slot(beginning), [])
                parts.append(part)
            part.command.append(key)
            part.targets.append((index, position))
    return parts


def join(commands: Sequence[Command], parts: Iterable[Part]) -> list[Any]:
    """Return a reply for each command: the values of an MGET in order, the sum of the counts of an UNLINK."""
    replies: list[Any] = [
        [None] * (len(command) - 1) if command[0] == "MGET" else 0 if command[0] in _SPREAD else None
        for command in commands
    ]
    for part in parts:
        name = part.command[0]
        if name == "MGET":
            for (index, position), value in zip(part.targets, part.reply, strict=True):
                replies[index][position] = value
        elif name in _SPREAD:
            replies[part.targets[0][0]] += part.reply
        else:
            replies[part.targets[0][0]] = part.reply
    return replies


_slots: dict[str, int] = {}  # by the beginning of the keys of a bucket


def slot(beginning: str) -> int:
    """Return the slot of a key, of which the part before the end of its tag suffices."""
    known = _slots.get(beginning)
    if known is not None:
        return known
    _, brace, tag = beginning.partition("}")[0].partition("{")
    if not brace:  # too many to remember
        return hash_slot(beginning)
    _slots[beginning] = hash_slot(tag)
    return _slots[beginning]


def _key_span(command: Sequence[Any]) -> slice:
    """Return where the keys of a command are."""
    if command[0] in _SCRIPTS:
        return slice(3, 3 + int(command[2]))
    return slice(1, len(command) if command[0] in _SPREAD else 2)


def _pack(arguments: Sequence[Any]) -> bytes:
    """Return arguments as a part of a command."""
    packed: bytes = pack_command(tuple(arguments))
    return packed[packed.index(b"\n") + 1 :]


def _pack_keys(names: Sequence[str], generation: str) -> bytes:
    """Do the same with keys. Those of a push have the same length, and are joined for a third of the price."""
    size = len(names[0])
    if set(map(len, names)) == {size}:
        before = f"${len(generation) + size}\r\n{generation}"
        joined = f"\r\n{before}".join(names)
        if joined.isascii():
            return f"{before}{joined}\r\n".encode()
    return _pack([generation + name for name in names])
