"""How many streams a user and this process may have."""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from threading import Lock

from django.conf import settings

MAX_STREAMS_PER_USER = 10  # tabs and devices


class Refusal(Enum):
    USER = auto()  # the user has MAX_STREAMS_PER_USER
    PROCESS = auto()  # the process has STREAM_LIMIT


_taken: Counter[int] = Counter()
_lock = Lock()


def take(user_id: int) -> Refusal | None:
    """Take a place for a stream. Return why there is none, or None: then `give_back` must follow its end."""
    with _lock:
        if _taken[user_id] >= MAX_STREAMS_PER_USER:
            return Refusal.USER
        if _taken.total() >= settings.STREAM_LIMIT:
            return Refusal.PROCESS
        _taken[user_id] += 1
    return None


def give_back(user_id: int) -> None:
    with _lock:
        _taken[user_id] -= 1
        if not _taken[user_id]:
            del _taken[user_id]
