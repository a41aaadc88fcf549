"""`manage.py check --deploy` asks both Redis servers for their memory limits (docs/operations.md#checks).

A start of a program does not: it must not wait for a server that is frozen. A server that does not answer within
`health.REDIS_TIMEOUT` is reported as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Info, Warning, register

from instafeed.core.jobs import broker
from instafeed.core.monitoring import health


@register(deploy=True)
def check_memory_limits(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Report a cache or broker without `maxmemory`, or with the wrong `maxmemory-policy`."""
    if settings.OFFLINE:
        return []
    messages = [*_check_servers("cache", health.cache_servers, _check_cache)]
    if not broker.is_rabbitmq(settings.CELERY_BROKER_URL):
        messages += _check_servers("broker", lambda: [health.broker_client()], _check_broker)
    return messages


Limits = tuple[int, str]  # maxmemory in bytes, and maxmemory-policy


def _check_servers(
    part: str, servers: Callable[[], list[redis.Redis]], check: Callable[[Limits], Iterator[CheckMessage]]
) -> Iterator[CheckMessage]:
    """Report a problem once that several servers of a cluster have."""
    try:
        found = {_read_limits(server) for server in servers()}
    except redis.RedisError as error:
        yield Info(f"The {part} was not asked for its memory limit: {type(error).__name__}", id="instafeed.I001")
        return
    for limits in sorted(found):
        yield from check(limits)


def _read_limits(server: redis.Redis) -> Limits:
    memory: Any = server.info("memory")
    return int(memory.get("maxmemory", 0)), str(memory.get("maxmemory_policy", ""))


def _check_cache(limits: Limits) -> Iterator[CheckMessage]:
    size, policy = limits
    if not size:
        yield Warning(
            "The cache has no maxmemory: it grows until the kernel kills it",
            hint="Set maxmemory and maxmemory-policy allkeys-lfu, as in deploy/redis/cache.conf.",
            id="instafeed.W006",
        )
    elif not policy.startswith("allkeys-"):
        yield Warning(
            f"The cache's maxmemory-policy is {policy}: it refuses writes when it is full",
            hint="Set maxmemory-policy allkeys-lfu, as in deploy/redis/cache.conf.",
            id="instafeed.W007",
        )


def _check_broker(limits: Limits) -> Iterator[CheckMessage]:
    size, policy = limits
    if not size:
        yield Warning(
            "The broker has no maxmemory: a backlog grows until the kernel kills it, and BrokerFilling cannot fire",
            hint="Set maxmemory and maxmemory-policy noeviction, as in deploy/redis/broker.conf.",
            id="instafeed.W008",
        )
    if policy and policy != "noeviction":
        yield Warning(
            f"The broker's maxmemory-policy is {policy}: it drops tasks when it is full",
            hint="Set maxmemory-policy noeviction, as in deploy/redis/broker.conf.",
            id="instafeed.W009",
        )
