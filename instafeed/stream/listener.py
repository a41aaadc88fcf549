"""Receive hints from Redis in a thread of its own, with a connection of its own.

A Redis Cluster broadcasts what is published, so any of its servers will do.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import redis
from redis.client import PubSub
from redis.cluster import RedisCluster

from instafeed.core.cache import client, hints, keys
from instafeed.core.cache.hints import Hint

PING_INTERVAL = 5.0  # seconds
PING_TIMEOUT = 5.0  # seconds for the reply: a frozen Redis, or a lost network, closes no connection
MAX_RETRY_DELAY = 5.0  # seconds between two attempts to subscribe; the first waits for a twentieth of it
_POLL = 0.5  # seconds
logger = logging.getLogger(__name__)


class Listener:
    """Calls `receive` with each hint, and with None when hints of the time before may have been lost."""

    def __init__(self, receive: Callable[[Hint | None], None]) -> None:
        self._receive = receive
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping.set()

    def _run(self) -> None:
        delay = MAX_RETRY_DELAY / 20
        while not self._is_stopping.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                logger.warning("no hints until Redis answers: %s", type(error).__name__)
            except Exception:
                logger.exception("the listener failed and begins again")
            if time.monotonic() - began > MAX_RETRY_DELAY:
                delay = MAX_RETRY_DELAY / 20
            self._is_stopping.wait(delay)
            delay = min(2 * delay, MAX_RETRY_DELAY)

    def _listen(self) -> None:
        pubsub = _open()
        try:
            pubsub.psubscribe(keys.HINTS_PATTERN)
            self._receive_until_silent(pubsub)
        finally:
            with suppress(redis.RedisError, OSError):
                pubsub.close()

    def _receive_until_silent(self, pubsub: PubSub) -> None:
        """Raises redis.RedisError when the connection breaks, or Redis answers no ping."""
        heard_at = pinged_at = time.monotonic()
        while not self._is_stopping.is_set():
            message = pubsub.get_message(timeout=_POLL)
            now = time.monotonic()
            if message is not None:
                heard_at = now
                self._handle(message)
            elif now - heard_at > PING_INTERVAL + PING_TIMEOUT:
                raise redis.TimeoutError("no reply to a ping")
            elif now - max(heard_at, pinged_at) > PING_INTERVAL:
                pubsub.ping()
                pinged_at = now

    def _handle(self, message: dict[str, object]) -> None:
        if message["type"] == "psubscribe":
            self._receive(None)
        elif message["type"] == "pmessage":
            data = message["data"]
            with suppress(ValueError):  # another program's message
                self._receive(hints.parse(data if isinstance(data, bytes) else b""))


def _open() -> PubSub:
    """Return a connection to the cache, or to any server of its cluster. Raises redis.RedisError."""
    cache = client.get_client()
    if isinstance(cache, RedisCluster):
        cache = cache.get_redis_connection(random.choice(cache.get_primaries()))
    return cache.pubsub()
