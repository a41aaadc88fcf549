"""Each part of a running stack is frozen in turn: /health says so within 15 s, quickly, and is well 15 s after its
return."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.flows.api_user import PASSWORD, eventually
from tests.live_stack import LiveStack

WITHIN = 15.0  # seconds
ANSWER = 3.0

Report = dict[str, Any]


def _health(stack: LiveStack) -> tuple[int, Report]:
    """Every answer comes in time, whatever is frozen."""
    began = time.monotonic()
    answer = stack.get("/health")
    assert time.monotonic() - began < ANSWER
    return answer.status_code, answer.json()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("part", "check", "notices"),
    [
        ("worker", "workers", lambda report: not any(report["queues"].values())),
        ("beat", "workers", lambda report: report["beat"] is False and all(report["queues"].values())),
        ("broker", "broker", lambda report: report["status"] == "down"),
        ("cache", "cache", lambda report: report["status"] == "down"),
        ("replica", "replica", lambda report: report["status"] == "down"),
    ],
)
def test_a_frozen_part_is_noticed_and_its_return_too(
    part: str, check: str, notices: Callable[[Report], bool], live_stack: LiveStack
) -> None:
    def is_well() -> bool:
        return _health(live_stack)[1]["status"] == "ok"

    def is_noticed() -> bool:
        status, body = _health(live_stack)
        assert status == 200, "the site works without it"
        return body["status"] == "degraded" and notices(body["checks"][check])

    eventually(is_well, 30)
    live_stack.freeze(part)
    try:
        eventually(is_noticed, WITHIN)
    finally:
        live_stack.thaw(part)
    eventually(is_well, WITHIN)


def newcomer() -> dict[str, str]:
    name = f"after{time.time_ns()}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


@pytest.mark.timeout(120)
def test_without_its_primary_the_site_is_down_and_comes_back(live_stack: LiveStack) -> None:
    eventually(lambda: _health(live_stack)[1]["status"] == "ok", 30)
    live_stack.freeze("primary")
    try:
        eventually(lambda: _health(live_stack)[0] == 503, WITHIN)
        assert live_stack.get("/health/ready").status_code == 503
        assert live_stack.get("/health/live").status_code == 200
    finally:
        live_stack.thaw("primary")
    eventually(lambda: _health(live_stack)[1]["status"] == "ok", WITHIN)
    eventually(lambda: live_stack.post("/api/v1/auth/register", json=newcomer()).status_code == 201, WITHIN)
