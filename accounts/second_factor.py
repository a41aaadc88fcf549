"""Second factors of staff: a key for an authenticator app (TOTP), and backup codes. The admin asks for them at its
login while ADMIN_OTP is on; they can be handed out before."""

from __future__ import annotations

from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import User

BACKUP_CODE_COUNT = 10


class AlreadyEnrolled(Exception):
    """The user has a second factor already."""


@transaction.atomic
def enroll(user_id: int, *, replace: bool) -> tuple[TOTPDevice, list[str]]:
    """A new key and new backup codes, which work from now on. Raises Enrolled, unless told to replace the old ones.

    Whoever got in with the old ones has to sign in again.
    """
    User.objects.select_for_update(no_key=True).get(pk=user_id)  # of two at once, one finds the other's
    if replace:
        remove(user_id)
    elif TOTPDevice.objects.filter(user=user_id).exists():
        raise AlreadyEnrolled
    device = TOTPDevice.objects.create(user_id=user_id, name="app")
    codes = [StaticToken.random_token() for _ in range(BACKUP_CODE_COUNT)]
    backup = StaticDevice.objects.create(user_id=user_id, name="backup codes")
    StaticToken.objects.bulk_create([StaticToken(device=backup, token=code) for code in codes])
    return device, codes


def remove(user_id: int) -> None:
    """End every second factor of a user; none is no error."""
    TOTPDevice.objects.filter(user=user_id).delete()
    StaticToken.objects.filter(device__user=user_id).delete()
    StaticDevice.objects.filter(user=user_id).delete()
