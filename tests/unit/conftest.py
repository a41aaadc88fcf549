"""Tests without services: PostgreSQL is refused by pytest-django, Redis by this module."""

from __future__ import annotations

from typing import NoReturn

import pytest
from redis.connection import AbstractConnection


@pytest.fixture(autouse=True)
def _no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: AbstractConnection) -> NoReturn:
        raise AssertionError("a unit test connects to Redis: move it to tests/db")

    monkeypatch.setattr(AbstractConnection, "connect", refuse)
