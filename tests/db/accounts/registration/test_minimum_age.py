"""The minimum age, by the date of birth that users enter."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.forms import model_to_dict
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from tests.db.accounts.registration.registering import register
from tests.support.error_shape import assert_error

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def age_16_on_1_march(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MINIMUM_AGE = 16
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 1, 0, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("born", "status", "code"),
    [
        ("2011-03-01", 201, ""),  # today
        ("2011-03-02", 403, "too_young"),  # tomorrow
        ("2011-02-28", 201, ""),
        ("1960-07-04", 201, ""),
        ("2027-03-01", 403, "too_young"),
        ("2008-02-29", 201, ""),
        ("2027-03-02", 400, "invalid"),  # in the future
        ("9999-12-31", 400, "invalid"),
        ("1880-01-01", 400, "invalid"),
        ("0001-01-01", 400, "invalid"),
        ("2010-02-29", 400, "invalid"),  # no such day
        ("2010-2-3", 400, "invalid"),
        ("20100203", 400, "invalid"),
        ("2010-02-03T00:00:00Z", 400, "invalid"),
        ("03.02.2010", 400, "invalid"),
        ("", 400, "blank"),
        (20100203, 400, "invalid"),
        (None, 400, "null"),
        ([], 400, "invalid"),
        (..., 400, "required"),
    ],
)
def test_date_of_birth_decides(born: Any, status: int, code: str) -> None:
    response = register(birth_date=born)
    if code:
        error = assert_error(response, status, code)
        assert error["attr"] == ("birth_date" if status == 400 else None)
        assert not User.objects.exists()
    else:
        assert response.status_code == status, response.content


def test_leap_day_birthday_is_on_1_march(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MINIMUM_AGE = 15
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 2, 28, 23, 59, tzinfo=UTC))
    assert_error(register(birth_date="2012-02-29"), 403, "too_young")
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 1, tzinfo=UTC))
    assert register(birth_date="2012-02-29").status_code == 201


def test_date_is_not_stored() -> None:
    register(birth_date="1986-04-26")
    user = User.objects.get()
    assert not any(isinstance(value, date) and value.year == 1986 for value in model_to_dict(user).values())
    assert "1986" not in str(User.objects.values().get())


@pytest.mark.parametrize("born", [..., "2027-01-01", "9999-12-31"])
def test_without_minimum_age_the_date_is_not_asked(settings: Settings, born: Any) -> None:
    settings.MINIMUM_AGE = 0
    assert register(birth_date=born).status_code == 201
