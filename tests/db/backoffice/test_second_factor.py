"""Sign-in to the admin with a second factor."""

from __future__ import annotations

from io import StringIO

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts import second_factor
from accounts.models import RecoveryCode, SecondFactor, User
from instafeed.backoffice.sign_in import SIGN_IN_REFUSED
from tests.support.authenticator import code_of, forget_used_codes
from tests.support.client_response import ClientResponse
from tests.support.factories import UserFactory
from tests.support.staff import PASSWORD, admin_client, create_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return create_staff(password=PASSWORD, username="maria")


@pytest.fixture
def otp_required(settings: Settings) -> None:
    settings.ADMIN_OTP = True


def sign_in(code: str | None, password: str = PASSWORD, client: Client | None = None) -> ClientResponse:
    data = {"username": "maria", "password": password} | ({} if code is None else {"code": code})
    return (client or Client()).post("/admin/login/", data)


def enroll(user: User, *, replace: bool = False) -> str:
    """Enroll the user and return the secret."""
    return second_factor.enroll(user.pk, replace=replace)[0].secret


def has_access(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_no_code_is_needed_without_the_setting_and_a_second_factor(user: User) -> None:
    assert sign_in(None).status_code == 302


def test_staff_with_a_second_factor_need_a_code_without_the_setting_too(user: User) -> None:
    secret = enroll(user)
    assert sign_in(None).status_code == 200
    assert sign_in(code_of(secret)).status_code == 302


@pytest.mark.usefixtures("otp_required")
def test_staff_without_a_second_factor_cannot_sign_in(user: User) -> None:
    assert sign_in("000000").context["form"].non_field_errors() == [SIGN_IN_REFUSED]


@pytest.mark.usefixtures("otp_required")
def test_sign_in_with_code_that_works_once(user: User) -> None:
    code, client = code_of(enroll(user)), Client()
    assert sign_in(f" {code[:3]} {code[3:]}", client=client).status_code == 302
    assert has_access(client)
    assert sign_in(code).status_code == 200


@pytest.mark.usefixtures("otp_required")
def test_recovery_code_works_once(user: User) -> None:
    _, codes = second_factor.enroll(user.pk, replace=False)
    assert len(set(codes)) == second_factor.RECOVERY_CODE_COUNT
    assert sign_in(codes[0].upper()).status_code == 302
    assert sign_in(codes[0]).status_code == 200
    assert sign_in(codes[1]).status_code == 302


@pytest.mark.usefixtures("otp_required")
@pytest.mark.parametrize("code", ["000000", "wrongone", "", None, "１２３４５６", "\0"])
def test_wrong_code_is_refused_like_a_wrong_password(user: User, code: str | None) -> None:
    enroll(user)
    right, wrong = sign_in(code), sign_in(code, "not it")
    assert right.status_code == wrong.status_code == 200
    assert right.context["form"].errors == wrong.context["form"].errors
    assert right.context["form"].non_field_errors() == [SIGN_IN_REFUSED]


@pytest.mark.usefixtures("otp_required")
def test_wrong_password_uses_no_code(user: User) -> None:
    enrollment, codes = second_factor.enroll(user.pk, replace=False)
    for code in (code_of(enrollment.secret), codes[0]):
        sign_in(code, "not it")
        assert sign_in(code).status_code == 302


@pytest.mark.usefixtures("otp_required")
def test_wrong_codes_count_as_wrong_passwords(user: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "3/hour"}
    secret = enroll(user)
    assert [sign_in("000000").status_code for _ in range(3)] == [200] * 3
    assert sign_in(code_of(secret)).status_code == 429


@pytest.mark.usefixtures("otp_required")
def test_only_the_users_own_confirmed_second_factor_counts(user: User) -> None:
    secret = enroll(create_staff(username="other"))
    assert sign_in(code_of(secret)).status_code == 200
    SecondFactor.objects.update(user=user, confirmed=False)
    assert sign_in(code_of(secret)).status_code == 200


def test_older_sessions_without_a_code_lose_access(user: User, settings: Settings) -> None:
    client = admin_client(user)
    assert has_access(client)
    settings.ADMIN_OTP = True
    assert not has_access(client)
    assert client.get("/admin/password_change/").status_code == 302


@pytest.mark.usefixtures("otp_required")
def test_replacing_a_second_factor_ends_its_sessions(user: User) -> None:
    secret, client = enroll(user), Client()
    sign_in(code_of(secret), client=client)
    assert has_access(client)
    new = enroll(user, replace=True)
    assert not has_access(client)
    assert sign_in(code_of(secret, 1)).status_code == 200
    assert sign_in(code_of(new)).status_code == 302


def test_command_replaces_a_second_factor_only_with_replace(user: User) -> None:
    output = StringIO()
    call_command("enroll_otp", "Maria", stdout=output)
    old = SecondFactor.objects.get(user=user)
    lines = [line.strip() for line in output.getvalue().splitlines()]
    secret = next(line for line in lines if len(line) == 32 and line.isalnum())
    assert sign_in(code_of(secret)).status_code == 302
    assert any(line.startswith("otpauth://") and secret in line for line in lines)
    *_, code, summary = lines
    assert summary == "Enrolled maria."
    assert sign_in(code).status_code == 302
    with pytest.raises(CommandError, match="--replace"):
        call_command("enroll_otp", "maria")
    call_command("enroll_otp", "maria", replace=True, stdout=StringIO())
    assert SecondFactor.objects.get(user=user).encrypted_secret != old.encrypted_secret
    assert RecoveryCode.objects.count() == second_factor.RECOVERY_CODE_COUNT


@pytest.mark.parametrize(
    ("username", "problem"), [("ghost", "no account is called 'ghost'"), ("user", "user is not a member of staff")]
)
def test_command_refuses_other_users(username: str, problem: str) -> None:
    UserFactory(username="user")
    with pytest.raises(CommandError, match=problem):
        call_command("enroll_otp", username)


def test_api_and_admin_accept_a_code_once_together(user: User) -> None:
    code = code_of(enroll(user))
    assert sign_in(code).status_code == 302
    data = {"username": "maria", "password": PASSWORD, "otp": code}
    assert Client().post("/api/v1/auth/token", data, "application/json").status_code == 401
    forget_used_codes()
    assert Client().post("/api/v1/auth/token", data, "application/json").status_code == 200


def test_admin_has_no_pages_of_second_factors() -> None:
    labels = {model._meta.app_label for model in apps.get_models() if admin.site.is_registered(model)}
    assert labels <= {"auth", "accounts", "posts", "feeds", "media", "social", "backoffice"}
    assert not admin.site.is_registered(SecondFactor)
