"""Pause each part of a running stack: /health answers, reports it, and recovers after its return."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD
from tests.support.live_stack import LiveStack

Report = dict[str, Any]


def get_health(stack: LiveStack) -> tuple[int, Report]:
    response = stack.get("/health")
    return response.status_code, response.json()


def is_healthy(stack: LiveStack) -> bool:
    return bool(get_health(stack)[1]["status"] == "ok")


@pytest.mark.parametrize(
    ("part", "check", "shows_failure"),
    [
        ("worker", "workers", lambda report: [name for name, up in report["queues"].items() if up] == ["fan_out"]),
        ("beat", "workers", lambda report: report["beat"] is False and all(report["queues"].values())),
        ("broker", "broker", lambda report: report["status"] == "down"),
        ("cache", "cache", lambda report: report["status"] == "down"),
        ("replica", "replica", lambda report: report["status"] == "down"),
    ],
)
def test_health_reports_a_paused_part_and_its_recovery(
    part: str, check: str, shows_failure: Callable[[Report], bool], live_stack: LiveStack
) -> None:
    def is_degraded() -> bool:
        """The site works without this part."""
        status, body = get_health(live_stack)
        return status == 200 and body["status"] == "degraded" and shows_failure(body["checks"][check])

    eventually(lambda: is_healthy(live_stack))
    with live_stack.paused(part):
        eventually(is_degraded)
    eventually(lambda: is_healthy(live_stack))


def registration_form() -> dict[str, str]:
    name = f"after{time.time_ns()}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


def test_health_is_down_without_the_primary_and_recovers(live_stack: LiveStack) -> None:
    eventually(lambda: is_healthy(live_stack))
    with live_stack.paused("primary"):
        eventually(lambda: get_health(live_stack)[0] == 503)
        assert live_stack.get("/health/ready").status_code == 503
        assert live_stack.get("/health/live").status_code == 200
    eventually(lambda: is_healthy(live_stack))
    eventually(lambda: live_stack.post("/api/v1/auth/register", json=registration_form()).status_code == 201)
