"""The limits of one process: what they count while Redis is down, and how much memory they need."""

from __future__ import annotations

import pytest

from instafeed.core.api import rate_limits
from instafeed.core.api.rate_limits import PERIODS, LocalWindows, Rate, parse_rate
from instafeed.core.env import throttle_rate


class Clock:
    """Replaces the module `time`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limits, "time", clock)
    return clock


def test_a_window_counts_until_it_ends(clock: Clock) -> None:
    windows = LocalWindows(10)
    assert windows.count("a", 60) == (1, 60.0)
    clock.now += 45
    assert windows.count("a", 60) == (2, 15.0)
    assert windows.count("b", 60) == (1, 60.0)
    clock.now += 15
    assert windows.count("a", 60) == (1, 60.0)


def test_a_request_is_given_back(clock: Clock) -> None:
    windows = LocalWindows(10)
    windows.count("a", 60)
    windows.give_back("a")
    windows.give_back("a")
    windows.give_back("unknown")
    assert windows.count("a", 60) == (1, 60.0)


def test_the_oldest_window_is_forgotten_beyond_the_capacity(clock: Clock) -> None:
    windows = LocalWindows(2)
    for key in ("a", "b", "a", "c"):
        windows.count(key, 60)
    assert windows.count("b", 60)[0] == 2
    assert windows.count("a", 60)[0] == 1


@pytest.mark.parametrize("period", PERIODS)
def test_every_rate_that_settings_accept_is_parsed(period: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROTTLE_USER", f"12/{period}")
    rate = throttle_rate("THROTTLE_USER", "1/day")
    assert rate is not None
    assert parse_rate(rate) == Rate(12, PERIODS[period])
