"""Freeze each part of a running stack: /health reports it within 15 s and recovers within 15 s of its return."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD
from tests.support.live_stack import LiveStack

TIMEOUT = 15.0  # seconds
MAX_RESPONSE_TIME = 3.0

Report = dict[str, Any]


def get_health(stack: LiveStack) -> tuple[int, Report]:
    """Return status and body. The response must be fast, whichever part is frozen."""
    started = time.monotonic()
    response = stack.get("/health")
    assert time.monotonic() - started < MAX_RESPONSE_TIME
    return response.status_code, response.json()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("part", "check", "shows_failure"),
    [
        ("worker", "workers", lambda report: not any(report["queues"].values())),
        ("beat", "workers", lambda report: report["beat"] is False and all(report["queues"].values())),
        ("broker", "broker", lambda report: report["status"] == "down"),
        ("cache", "cache", lambda report: report["status"] == "down"),
        ("replica", "replica", lambda report: report["status"] == "down"),
    ],
)
def test_health_reports_a_frozen_part_and_its_recovery(
    part: str, check: str, shows_failure: Callable[[Report], bool], live_stack: LiveStack
) -> None:
    def is_healthy() -> bool:
        return get_health(live_stack)[1]["status"] == "ok"

    def is_degraded() -> bool:
        status, body = get_health(live_stack)
        assert status == 200, "the site works without this part"
        return body["status"] == "degraded" and shows_failure(body["checks"][check])

    eventually(is_healthy)
    live_stack.freeze(part)
    try:
        eventually(is_degraded)
    finally:
        live_stack.thaw(part)
    eventually(is_healthy)


def registration_form() -> dict[str, str]:
    name = f"after{time.time_ns()}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


@pytest.mark.timeout(120)
def test_health_is_down_without_the_primary_and_recovers(live_stack: LiveStack) -> None:
    eventually(lambda: get_health(live_stack)[1]["status"] == "ok")
    live_stack.freeze("primary")
    try:
        eventually(lambda: get_health(live_stack)[0] == 503)
        assert live_stack.get("/health/ready").status_code == 503
        assert live_stack.get("/health/live").status_code == 200
    finally:
        live_stack.thaw("primary")
    eventually(lambda: get_health(live_stack)[1]["status"] == "ok")
    eventually(lambda: live_stack.post("/api/v1/auth/register", json=registration_form()).status_code == 201)
