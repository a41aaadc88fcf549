"""The captcha: challenges of the ALTCHA protocol, solved by its library, each good for one account."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from typing import Any

import altcha
import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts import captcha
from accounts.models import UsedChallenge, User
from accounts.tasks import flush_expired_tokens
from tests.db.accounts.auth_client import get
from tests.db.accounts.registration.registering import register
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db
DIFFICULTY = 1_000


@pytest.fixture(autouse=True)
def altcha_on(settings: Settings) -> None:
    settings.CAPTCHA, settings.CAPTCHA_DIFFICULTY = "altcha", DIFFICULTY


def fetch() -> dict[str, Any]:
    response = get("auth/captcha")
    assert response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    challenge: dict[str, Any] = response.json()
    return challenge


def solve(challenge: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that ALTCHA's widget submits for a challenge."""
    fields = ("algorithm", "challenge", "maxnumber", "salt", "signature")
    assert challenge.keys() == set(fields)
    solution = altcha.solve_challenge_v1(altcha.ChallengeV1(*(challenge[name] for name in fields)))
    assert solution is not None
    assert 0 <= solution.number <= DIFFICULTY
    fields_sent = {name: challenge[name] for name in ("algorithm", "challenge", "salt", "signature")}
    return {**fields_sent, "number": solution.number, "took": 12}


def encode(value: Any) -> str:
    return b64encode(json.dumps(value).encode()).decode()


def test_solved_captcha_registers_once() -> None:
    payload = encode(solve(fetch()))
    assert register(captcha=payload).status_code == 201
    assert assert_error(register("ben", captcha=payload), 400, "captcha_invalid")["attr"] == "captcha"
    assert User.objects.count() == 1


@pytest.mark.parametrize("payload", [..., ""])
def test_captcha_is_required(payload: Any) -> None:
    assert assert_error(register(captcha=payload), 400, "captcha_required")["attr"] == "captcha"


def test_failed_registration_does_not_use_the_solution_up() -> None:
    UserFactory(username="alice")
    payload = encode(solve(fetch()))
    assert_error(register(captcha=payload), 400, "unique")
    assert register("ben", captcha=payload).status_code == 201


FORGERIES: dict[str, Any] = {
    "another number": lambda solution: {**solution, "number": solution["number"] + 1},
    "another salt": lambda solution: {**solution, "salt": f"a{solution['salt']}"},
    "later expiry": lambda solution: {**solution, "salt": solution["salt"].replace("expires=1", "expires=2")},
    "spliced salt": lambda solution: {**solution, "salt": f"{solution['salt']}1", "number": 0},
    "no expiry": lambda solution: {**solution, "salt": solution["salt"].partition("?")[0]},
    "another signature": lambda solution: {**solution, "signature": "0" * 64},
    "no signature": lambda solution: {name: solution[name] for name in solution if name != "signature"},
    "another algorithm": lambda solution: {**solution, "algorithm": "SHA-1"},
    "a text as number": lambda solution: {**solution, "number": str(solution["number"])},
    "a list as salt": lambda solution: {**solution, "salt": [solution["salt"]]},
    "a surrogate": lambda solution: {**solution, "salt": "\ud800"},
    "no object": lambda solution: [solution],
    "null": lambda solution: None,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_solutions_are_refused(name: str) -> None:
    assert_error(register(captcha=encode(FORGERIES[name](solve(fetch())))), 400, "captcha_invalid")
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "payload", ["x", "é", "====", "AAAA", b64encode(b"[" * 700).decode(), b64encode(b"\xff").decode()]
)
def test_unreadable_solutions_are_refused(payload: str) -> None:
    assert_error(register(captcha=payload), 400, "captcha_invalid")


@pytest.mark.parametrize("payload", [5, [], None, "A" * 1_001])
def test_malformed_fields_are_400(payload: Any) -> None:
    assert assert_error(register(captcha=payload), 400)["attr"] == "captcha"


def test_expired_challenge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captcha, "LIFETIME", timedelta(seconds=-2))
    assert_error(register(captcha=encode(solve(fetch()))), 400, "captcha_invalid")


def test_challenge_of_the_former_key_is_accepted(settings: Settings) -> None:
    payload = encode(solve(fetch()))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    assert register(captcha=payload).status_code == 201
    settings.SECRET_KEY_FALLBACKS = []
    assert_error(register("ben", captcha=encode(solve(fetch())).replace("A", "B")), 400, "captcha_invalid")


def test_rows_of_used_challenges_go_when_they_have_expired() -> None:
    assert register(captcha=encode(solve(fetch()))).status_code == 201
    flush_expired_tokens()
    row = UsedChallenge.objects.get()
    assert timedelta() < row.expires_at - timezone.now() <= captcha.LIFETIME
    UsedChallenge.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    flush_expired_tokens()
    assert not UsedChallenge.objects.exists()


def test_without_captcha_there_is_no_challenge_and_none_is_needed(settings: Settings) -> None:
    settings.CAPTCHA = "off"
    assert get("auth/captcha").status_code == 404
    assert register(captcha="ignored").status_code == 201
