"""The celebrity threshold: hysteresis, and pins that override it."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from accounts.models import CelebrityState
from feeds import celebrity_policy
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _threshold(settings: Settings) -> None:
    settings.CELEBRITY_THRESHOLD = 10


@pytest.mark.parametrize(
    ("count", "state", "pin", "expected"),
    [
        (9, CelebrityState.ORDINARY, None, False),
        (10, CelebrityState.ORDINARY, None, True),
        (9, CelebrityState.CELEBRITY, None, True),
        (8, CelebrityState.CELEBRITY, None, False),
        (9, CelebrityState.DEMOTING, None, False),
        (0, CelebrityState.ORDINARY, True, True),
        (99, CelebrityState.CELEBRITY, False, False),
    ],
)
def test_threshold_has_hysteresis_and_pins_override_it(
    count: int, state: CelebrityState, pin: bool | None, expected: bool
) -> None:
    user = UserFactory(follower_count=count, celebrity_state=state, celebrity_pin=pin)
    assert celebrity_policy.should_be_celebrity(user) is expected
    if state == CelebrityState.ORDINARY:
        assert celebrity_policy.authors_to_promote().filter(pk=user.pk).exists() is expected
    if state == CelebrityState.CELEBRITY:
        assert celebrity_policy.authors_to_demote().filter(pk=user.pk).exists() is not expected
