"""Simulate a Redis outage for the code under test."""

from __future__ import annotations

from typing import NoReturn

import pytest
import redis


def break_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every command of this process fail, over new and open connections."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise redis.ConnectionError("gone")

    for method in ("connect", "send_command", "send_packed_command"):
        monkeypatch.setattr(redis.connection.Connection, method, fail)
