"""Hints for open streams: users who may have something new. They are published through Redis, and may be lost.

A hint says whose counts to read again, and nothing else. `instafeed.stream` receives all hints, picks out its connected
users and reads what these may see. So a hint too many costs a read, and a lost one is made good by the next regular
check. One message carries the ids of many users: publishing costs little, also when no one listens.
"""

from __future__ import annotations

import struct
import time
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command

MAX_IDS = 5_000  # of one message, 40 kB
_HEADER = struct.Struct("<Bd")  # kind, time


class HintKind(IntEnum):
    FEEDS = 1  # the ids are viewers, to whose feeds posts were delivered
    AUTHORS = 2  # authors with new posts that their followers pull, or that have just become visible
    NOTIFICATIONS = 3  # recipients


class Hint(NamedTuple):
    kind: HintKind
    published_at: float  # time.time()
    ids: tuple[int, ...]


def publish(ids_by_kind: Mapping[HintKind, Sequence[int]]) -> None:
    """Publish hints in one round trip, after what they hint at can be read. Does nothing for no ids.

    Without Redis they are lost, and nothing is raised.
    """
    sent = [message for kind, ids in ids_by_kind.items() for message in _messages(kind, ids)]
    if sent:
        with suppress(CacheUnavailable):
            commands.run(sent)


def _messages(kind: HintKind, ids: Sequence[int]) -> list[Command]:
    header = _HEADER.pack(kind, time.time())
    parts = [ids[start : start + MAX_IDS] for start in range(0, len(ids), MAX_IDS)]
    return [("PUBLISH", keys.HINTS_CHANNEL, header + array("q", part).tobytes()) for part in parts]


def parse(message: bytes) -> Hint:
    """Return the hint in a message of `publish`. Raises ValueError for any other."""
    try:
        kind, published_at = _HEADER.unpack_from(message)
    except struct.error as error:
        raise ValueError("not a hint") from error
    ids = array("q")
    ids.frombytes(message[_HEADER.size :])
    return Hint(HintKind(kind), published_at, tuple(ids))
