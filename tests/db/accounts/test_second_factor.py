"""POST and DELETE /me/totp, POST /me/totp/confirm, and sign-in with a code"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import second_factor, services
from accounts.models import RecoveryCode, SecondFactor, User
from instafeed.core import encryption
from tests.db.accounts.auth_client import PASSWORD, bearer, get, is_token_accepted, post, start_session
from tests.support.authenticator import code_of, forget_used_codes
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show and check codes at one moment: otherwise the next step of 30 s may begin in between."""
    now = time.time()
    monkeypatch.setattr("django_otp.oath.time", lambda: now)
    monkeypatch.setattr(second_factor, "time", SimpleNamespace(time=lambda: now))


@pytest.fixture
def access(alice: User) -> str:
    return start_session(alice).access


@pytest.fixture
def secret(access: str) -> str:
    """The secret of Alice's second factor, which is on."""
    secret: str = begin(access).json()["secret"]
    assert confirm(access, code_of(secret)).status_code == 200
    forget_used_codes()
    return secret


def begin(access: str, password: Any = PASSWORD) -> ClientResponse:
    return post("me/totp", {"current_password": password}, access)


def confirm(access: str, code: Any) -> ClientResponse:
    return post("me/totp/confirm", {"code": code}, access)


def disable(access: str, code: Any, password: Any = PASSWORD) -> ClientResponse:
    data = {"current_password": password, "code": code}
    return Client().delete("/api/v1/me/totp", data, content_type="application/json", headers=bearer(access))


def sign_in(otp: str | None = None, password: str = PASSWORD, username: str = "alice") -> ClientResponse:
    return post("auth/token", {"username": username, "password": password} | ({} if otp is None else {"otp": otp}))


def test_setting_up_and_signing_in_with_a_code(alice: User, access: str) -> None:
    answer = begin(access).json()
    assert answer["otpauth_url"].startswith(f"otpauth://totp/instafeed:alice?secret={answer['secret']}&issuer=")
    assert sign_in().status_code == 200, "not confirmed yet"
    assert get("me", access).json()["totp_enabled"] is False
    codes = confirm(access, code_of(answer["secret"])).json()["recovery_codes"]
    assert len(set(codes)) == second_factor.RECOVERY_CODE_COUNT
    assert get("me", access).json()["totp_enabled"] is True
    assert_error(sign_in(), 401, "otp_required")
    response = sign_in(code_of(answer["secret"], 1))
    assert response.status_code == 200
    assert is_token_accepted(response.json()["access"])


@pytest.mark.usefixtures("secret")
def test_a_code_is_asked_for_only_after_the_right_password() -> None:
    wrong = sign_in(password="wrong")
    assert_error(wrong, 401, "wrong_credentials")
    assert wrong.content == sign_in("000000", "wrong").content == sign_in("000000", username="unknown").content


def test_suspended_users_are_not_asked_for_a_code(alice: User, secret: str) -> None:
    services.suspend(alice.pk)
    assert_error(sign_in(code_of(secret)), 401, "wrong_credentials")


def test_a_code_works_once_and_older_ones_no_longer(secret: str) -> None:
    code = code_of(secret)
    assert sign_in(f"{code[:3]} {code[3:]}").status_code == 200
    assert_error(sign_in(code), 401, "wrong_otp")
    assert_error(sign_in(code_of(secret, -1)), 401, "wrong_otp")
    assert sign_in(code_of(secret, 1)).status_code == 200


@pytest.mark.parametrize(("steps", "accepted"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_half_a_minute(secret: str, steps: int, accepted: bool) -> None:
    assert (sign_in(code_of(secret, steps)).status_code == 200) is accepted


def test_the_code_of_the_confirmation_cannot_sign_in(access: str) -> None:
    code = code_of(begin(access).json()["secret"])
    assert confirm(access, code).status_code == 200
    assert_error(sign_in(code), 401, "wrong_otp")


def test_recovery_codes_work_once_each_in_any_case(access: str) -> None:
    secret = begin(access).json()["secret"]
    codes = confirm(access, code_of(secret)).json()["recovery_codes"]
    assert sign_in(codes[0]).status_code == 200
    assert_error(sign_in(codes[0]), 401, "wrong_otp")
    assert sign_in(codes[1].replace("-", "").upper()).status_code == 200
    assert RecoveryCode.objects.count() == second_factor.RECOVERY_CODE_COUNT - 2


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("otp", ["000000", "1", "１２３４５６", "x" * 64, "\ud800"])
def test_wrong_codes_are_refused(otp: str) -> None:
    assert sign_in(otp).status_code in (400, 401)


@pytest.mark.parametrize("otp", ["", " ", 5, None, [], "x" * 65])
def test_invalid_code_value_is_400(alice: User, otp: Any) -> None:
    response = post("auth/token", {"username": "alice", "password": PASSWORD, "otp": otp})
    assert assert_error(response, 400)["attr"] == "otp"


def test_wrong_codes_count_as_wrong_passwords_and_missing_ones_do_not(secret: str, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "3/hour"}
    assert [sign_in().status_code for _ in range(5)] == [401] * 5
    assert [sign_in("000000").status_code for _ in range(4)] == [401] * 3 + [429]
    assert sign_in(code_of(secret)).status_code == 429


def test_wrong_codes_in_a_session_are_limited_too(access: str, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "3/hour"}
    begin(access)
    assert [confirm(access, "000000").status_code for _ in range(4)] == [400] * 3 + [429]


def test_beginning_needs_the_password_and_a_second_call_replaces_the_secret(alice: User, access: str) -> None:
    assert assert_error(begin(access, "wrong"), 400, "wrong_password")["attr"] == "current_password"
    assert not SecondFactor.objects.exists()
    first, second = (begin(access).json()["secret"] for _ in range(2))
    assert assert_error(confirm(access, code_of(first)), 400, "wrong_code")["attr"] == "code"
    assert confirm(access, code_of(second)).status_code == 200


def test_confirming_without_beginning_and_twice_is_a_conflict(access: str) -> None:
    assert_error(confirm(access, "000000"), 409, "totp_not_begun")
    secret = begin(access).json()["secret"]
    assert confirm(access, code_of(secret)).status_code == 200
    assert_error(confirm(access, code_of(secret, 1)), 409, "totp_enabled")
    assert_error(begin(access), 409, "totp_enabled")


def test_turning_it_off_needs_password_and_code(access: str, secret: str) -> None:
    assert assert_error(disable(access, code_of(secret), "wrong"), 400, "wrong_password")["attr"] == "current_password"
    assert assert_error(disable(access, "000000"), 400, "wrong_code")["attr"] == "code"
    assert sign_in().status_code == 401
    assert disable(access, code_of(secret)).status_code == 204
    assert sign_in().status_code == 200
    assert_error(disable(access, code_of(secret)), 409, "totp_disabled")
    assert not RecoveryCode.objects.exists()


def test_a_recovery_code_turns_it_off(access: str) -> None:
    secret = begin(access).json()["secret"]
    codes = confirm(access, code_of(secret)).json()["recovery_codes"]
    assert disable(access, codes[9]).status_code == 204


@pytest.mark.parametrize("body", [{}, {"current_password": 5, "code": "1"}, {"current_password": "x", "code": ""}])
def test_invalid_bodies_are_400(access: str, body: Any) -> None:
    for method, path in (("delete", "me/totp"), ("post", "me/totp/confirm")):
        if "code" in body and path == "me/totp/confirm" and body["code"]:
            continue
        call = getattr(Client(), method)
        assert_error(call(f"/api/v1/{path}", body, content_type="application/json", headers=bearer(access)), 400)


def test_staff_are_enrolled_by_an_operator() -> None:
    staff = create_staff(password=PASSWORD, username="maria")
    access = start_session(staff).access
    assert_error(begin(access), 403, "staff_account")
    enrollment, _ = second_factor.enroll(staff.pk, replace=False)
    assert_error(disable(access, code_of(enrollment.secret)), 403, "staff_account")
    assert_error(sign_in(username="maria"), 401, "otp_required")


def test_database_holds_neither_the_secret_nor_the_recovery_codes(access: str) -> None:
    secret = begin(access).json()["secret"]
    codes = confirm(access, code_of(secret)).json()["recovery_codes"]
    rows = [*SecondFactor.objects.values(), *RecoveryCode.objects.values()]
    stored = str(rows).lower()
    assert secret.lower() not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


def test_codes_work_with_a_former_secret_key_until_it_is_forgotten(secret: str, settings: Settings) -> None:
    settings.SECRET_KEY, former = "another key" * 6, settings.SECRET_KEY
    assert_error(sign_in(code_of(secret)), 401, "wrong_otp")
    settings.SECRET_KEY_FALLBACKS = [former]
    assert sign_in(code_of(secret)).status_code == 200
    assert second_factor.encrypt_again(list(second_factor.get_with_old_keys().values_list("pk", flat=True))) == 0
    settings.SECRET_KEY_FALLBACKS = []
    assert sign_in(code_of(secret, 1)).status_code == 200
    assert SecondFactor.objects.get().key_id == encryption.get_key_id()


def test_secrets_of_unknown_keys_are_left_as_they_are(secret: str, settings: Settings) -> None:
    stored = SecondFactor.objects.values().get()
    settings.SECRET_KEY = "another key" * 6
    assert second_factor.encrypt_again([stored["id"]]) == 1
    assert SecondFactor.objects.values().get() == stored


def test_a_failed_sign_in_uses_no_code(alice: User, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code stays valid if the session cannot be started."""
    with monkeypatch.context() as patch:
        patch.setattr("accounts.sessions.start", lambda user, client: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sign_in(code_of(secret))
    assert sign_in(code_of(secret)).status_code == 200


def test_other_users_codes_are_refused(secret: str) -> None:
    other = UserFactory()
    other_secret = second_factor.enroll(other.pk, replace=False)[0].secret
    assert_error(sign_in(code_of(other_secret)), 401, "wrong_otp")
