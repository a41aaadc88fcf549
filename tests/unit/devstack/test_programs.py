"""The defaults of the embedded stack: for demos and load tests on one machine, not for production."""

from __future__ import annotations

import pytest

from instafeed.core.env import KNOWN_VARIABLES
from instafeed.devstack.programs import child_environment
from tests.support.live_stack import NO_RATE_LIMITS

THROTTLES = {name for name in KNOWN_VARIABLES if name.startswith("THROTTLE_")}


def test_the_admin_needs_no_second_factor_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KNOWN_VARIABLES["ADMIN_OTP"].default == "true"
    monkeypatch.delenv("ADMIN_OTP")
    assert child_environment({})["ADMIN_OTP"] == "false"
    monkeypatch.setenv("ADMIN_OTP", "true")
    assert child_environment({})["ADMIN_OTP"] == "true"


def test_a_demo_does_not_reach_the_limits_per_action(monkeypatch: pytest.MonkeyPatch) -> None:
    default = child_environment({})
    for name in THROTTLES - {"THROTTLE_USER", "THROTTLE_UPLOAD", "THROTTLE_EXPORT", "THROTTLE_ZIP_EXPORT"}:
        assert default[name].endswith(("000/minute", "000/hour")), name


def test_the_running_system_of_the_tests_has_no_limits() -> None:
    assert set(NO_RATE_LIMITS) == THROTTLES
