"""`check --deploy` asks cache and broker for their memory limits, and does not wait for a server that is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_django import Settings

from instafeed.core.monitoring import health, redis_limits
from instafeed.devstack.redis import BROKER_SETTINGS, CACHE_SETTINGS, RedisServer
from instafeed.devstack.state import StackLayout


@contextmanager
def running(directory: Path, settings: Mapping[str, str]) -> Iterator[RedisServer]:
    layout = StackLayout(directory)
    layout.log.mkdir(parents=True, exist_ok=True)
    server = RedisServer("redis", layout.cache, layout.log, "secret", settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def found() -> list[str]:
    return [str(message.id).removeprefix("instafeed.") for message in redis_limits.check_memory_limits(None)]


@pytest.mark.parametrize(
    ("setting", "server", "codes"),
    [
        ("REDIS_URL", CACHE_SETTINGS, []),
        ("REDIS_URL", {}, ["W006"]),
        ("REDIS_URL", {**CACHE_SETTINGS, "maxmemory-policy": "noeviction"}, ["W007"]),
        ("CELERY_BROKER_URL", BROKER_SETTINGS, []),
        ("CELERY_BROKER_URL", {"maxmemory-policy": "noeviction"}, ["W008"]),
        ("CELERY_BROKER_URL", CACHE_SETTINGS, ["W009"]),
    ],
)
def test_limits_are_checked(
    setting: str,
    server: dict[str, str],
    codes: list[str],
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other server is the session's, which has the limits that it should have."""
    monkeypatch.setattr(health, "REDIS_TIMEOUT", 60.0)  # a busy machine may need longer than production allows
    with running(tmp_path, server) as redis:
        setattr(settings, setting, redis.url)
        assert found() == codes


def test_a_frozen_server_is_reported_as_unknown(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a timeout as short as a connection on this machine takes, as the test would otherwise wait for it."""
    monkeypatch.setattr(health, "REDIS_TIMEOUT", 0.1)
    with running(tmp_path, CACHE_SETTINGS) as redis:
        settings.REDIS_URL = settings.CELERY_BROKER_URL = redis.url
        redis.pause()
        assert found() == ["I001", "I001"]
        redis.resume()


def test_rabbitmq_is_not_asked(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "amqp://nowhere.invalid//"
    assert found() == []
