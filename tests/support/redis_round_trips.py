"""Count the round trips to Redis that a block of code makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import redis


@contextmanager
def count_round_trips() -> Iterator[list[str]]:
    """Yield a list that collects the command of each round trip; a pipeline is one round trip."""
    round_trips: list[str] = []
    send_command, send_pipeline = redis.Redis.execute_command, redis.client.Pipeline.execute

    def execute_command(self: redis.Redis, *args: Any, **options: Any) -> object:
        if not isinstance(self, redis.client.Pipeline):
            round_trips.append(str(args[0]))
        return send_command(self, *args, **options)

    def execute(self: redis.client.Pipeline, *args: Any, **options: Any) -> object:
        round_trips.append("pipeline")
        return send_pipeline(self, *args, **options)

    with (
        patch.object(redis.Redis, "execute_command", execute_command),
        patch.object(redis.client.Pipeline, "execute", execute),
    ):
        yield round_trips
