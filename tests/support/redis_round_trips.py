"""Count the round trips to Redis that a block of code makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import redis

from instafeed.core.cache import commands
from instafeed.core.cache.lua import Command


@contextmanager
def count_round_trips() -> Iterator[list[str]]:
    """Yield a list with the command of each round trip; `pipeline` stands for several commands at once."""
    round_trips: list[str] = []
    exchange = commands.exchange
    send_command, send_pipeline = redis.Redis.execute_command, redis.client.Pipeline.execute

    def execute_command(self: redis.Redis, *args: Any, **options: Any) -> object:
        if not isinstance(self, redis.client.Pipeline):
            round_trips.append(str(args[0]))
        return send_command(self, *args, **options)

    def execute(self: redis.client.Pipeline, *args: Any, **options: Any) -> object:
        round_trips.append("pipeline")
        return send_pipeline(self, *args, **options)

    def exchange_commands(pool: redis.ConnectionPool, sent: Sequence[Command]) -> list[Any]:
        round_trips.append(str(sent[0][0]) if len(sent) == 1 else "pipeline")
        return exchange(pool, sent)

    with (
        patch.object(commands, "exchange", exchange_commands),
        patch.object(redis.Redis, "execute_command", execute_command),
        patch.object(redis.client.Pipeline, "execute", execute),
    ):
        yield round_trips
