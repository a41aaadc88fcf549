"""Sign-in to the admin with ADMIN_OTP: password and code."""

from __future__ import annotations

from io import StringIO

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from accounts import second_factor
from accounts.models import User
from instafeed.backoffice.sign_in import SIGN_IN_REFUSED
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


def code_for(device: TOTPDevice, steps: int = 0) -> str:
    return f"{totp(device.bin_key, t0=-30 * steps):06}"


def has_access(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_no_code_is_needed_without_the_setting(user: User) -> None:
    second_factor.enroll(user.pk, replace=False)
    assert b"backup code" not in Client().get("/admin/login/").content
    assert sign_in(None).status_code == 302


@pytest.mark.usefixtures("otp_required")
def test_sign_in_with_code_that_works_once(user: User) -> None:
    device, _ = second_factor.enroll(user.pk, replace=False)
    client, code = Client(), code_for(device)
    assert sign_in(f" {code[:3]} {code[3:]}", client=client).status_code == 302
    assert has_access(client)
    assert sign_in(code).status_code == 200


@pytest.mark.usefixtures("otp_required")
def test_backup_code_works_once(user: User) -> None:
    _, codes = second_factor.enroll(user.pk, replace=False)
    assert len(set(codes)) == second_factor.BACKUP_CODE_COUNT
    assert sign_in(codes[0].upper()).status_code == 302
    assert sign_in(codes[0]).status_code == 200
    StaticDevice.objects.update(throttling_failure_timestamp=None)
    assert sign_in(codes[1]).status_code == 302


@pytest.mark.usefixtures("otp_required")
@pytest.mark.parametrize("code", ["000000", "wrongone", "", None, "１２３４５６", "\0"])
def test_wrong_code_is_refused_like_a_wrong_password(user: User, code: str | None) -> None:
    second_factor.enroll(user.pk, replace=False)
    right, wrong = sign_in(code), sign_in(code, "not it")
    assert right.status_code == wrong.status_code == 200
    assert right.context["form"].errors == wrong.context["form"].errors
    assert right.context["form"].non_field_errors() == [SIGN_IN_REFUSED]


@pytest.mark.usefixtures("otp_required")
def test_wrong_password_does_not_use_the_device(user: User) -> None:
    device, codes = second_factor.enroll(user.pk, replace=False)
    for code in ("000000", codes[0]):
        sign_in(code, "not it")
    device.refresh_from_db()
    assert device.throttling_failure_count == 0
    assert StaticToken.objects.count() == second_factor.BACKUP_CODE_COUNT


@pytest.mark.usefixtures("otp_required")
def test_wrong_codes_lock_the_device(user: User) -> None:
    device, _ = second_factor.enroll(user.pk, replace=False)
    for _ in range(3):
        sign_in("000000")
    assert sign_in(code_for(device)).status_code == 200
    TOTPDevice.objects.update(throttling_failure_timestamp=None)
    assert sign_in(code_for(device)).status_code == 302


@pytest.mark.usefixtures("otp_required")
def test_only_the_users_own_confirmed_device_counts(user: User) -> None:
    device, _ = second_factor.enroll(create_staff(username="other").pk, replace=False)
    assert sign_in(code_for(device)).status_code == 200
    TOTPDevice.objects.update(user=user, confirmed=False)
    assert sign_in(code_for(device)).status_code == 200


def test_older_sessions_without_a_code_lose_access(user: User, settings: Settings) -> None:
    client = admin_client(user)
    assert has_access(client)
    settings.ADMIN_OTP = True
    assert not has_access(client)
    assert client.get("/admin/password_change/").status_code == 302


@pytest.mark.usefixtures("otp_required")
def test_replacing_a_device_ends_its_sessions(user: User) -> None:
    device, _ = second_factor.enroll(user.pk, replace=False)
    client = Client()
    sign_in(code_for(device), client=client)
    assert has_access(client)
    new, _ = second_factor.enroll(user.pk, replace=True)
    assert not has_access(client)
    assert sign_in(code_for(device, 1)).status_code == 200
    TOTPDevice.objects.update(throttling_failure_timestamp=None)
    assert sign_in(code_for(new)).status_code == 302


def test_command_replaces_a_device_only_with_replace(user: User) -> None:
    output = StringIO()
    call_command("enroll_otp", "Maria", stdout=output)
    device = TOTPDevice.objects.get(user=user)
    assert device.config_url in output.getvalue()
    assert all(token.token in output.getvalue() for token in StaticToken.objects.all())
    with pytest.raises(CommandError, match="--replace"):
        call_command("enroll_otp", "maria")
    call_command("enroll_otp", "maria", replace=True, stdout=StringIO())
    assert TOTPDevice.objects.get(user=user).key != device.key
    assert (StaticDevice.objects.count(), StaticToken.objects.count()) == (1, second_factor.BACKUP_CODE_COUNT)


@pytest.mark.parametrize("username", ["nobody", "user"])
def test_command_refuses_other_users(username: str) -> None:
    UserFactory(username="user")
    with pytest.raises(CommandError, match="not a member of staff"):
        call_command("enroll_otp", username)


def test_admin_has_no_pages_of_otp_devices() -> None:
    labels = {model._meta.app_label for model in apps.get_models() if admin.site.is_registered(model)}
    assert labels <= {"auth", "accounts", "posts", "feeds", "media", "social", "backoffice"}
