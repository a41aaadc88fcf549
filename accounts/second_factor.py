"""Second factors of staff: an authenticator app (TOTP) and backup codes.

The admin's sign-in requires them while ADMIN_OTP is on. They can be enrolled before it is turned on.
"""

from __future__ import annotations

from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import User

BACKUP_CODE_COUNT = 10


class AlreadyEnrolled(Exception):
    """The user already has a second factor."""


@transaction.atomic
def enroll(user_id: int, *, replace: bool) -> tuple[TOTPDevice, list[str]]:
    """Create a TOTP device and backup codes, effective at once. Raises AlreadyEnrolled unless `replace` is true.

    Replacing signs out sessions that were verified with the old factors.
    """
    User.objects.select_for_update(no_key=True).get(pk=user_id)  # serializes concurrent enrolments of one user
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
    """Delete all second factors of a user, if there are any."""
    TOTPDevice.objects.filter(user=user_id).delete()
    StaticToken.objects.filter(device__user=user_id).delete()
    StaticDevice.objects.filter(user=user_id).delete()
