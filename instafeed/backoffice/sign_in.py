"""Sign-in to the admin: password, second factor if ADMIN_OTP is on, and rate limits.

Every refusal has the same text and takes about the same time for every cause. It does not reveal which accounts
exist, which are staff, or that the password was right.
"""

from __future__ import annotations

import re
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django_otp import verify_token
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.request import Request

from accounts import sessions
from accounts.models import User
from instafeed.core.api.throttling import LoginAddressThrottle, PasswordThrottle, Throttle, account_key

SIGN_IN_REFUSED = "No member of staff with these credentials."


class SignInForm(AdminAuthenticationForm):
    """Username (in any case, as in the API), password and, with ADMIN_OTP, a code of the app or a backup code."""

    error_messages = {"invalid_login": SIGN_IN_REFUSED, "inactive": SIGN_IN_REFUSED}
    code = forms.CharField(
        max_length=16,
        label="Code of your app, or a backup code:",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}),
    )
    field_order = ["username", "password", "code"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.ADMIN_OTP:
            del self.fields["code"]

    def clean_username(self) -> str:
        return str(self.cleaned_data["username"]).lower()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        user = self.get_user()
        if user is not None and "code" in self.fields:
            device = _verify_code(user, cleaned.get("code", ""))
            if device is None:
                raise ValidationError(SIGN_IN_REFUSED, code="invalid_login")
            user.otp_device = device  # type: ignore[attr-defined]  # django-otp stores it in the session
        return cleaned


def _verify_code(user: User, code: str) -> Device | None:
    """Return the user's device that accepts the code, or None.

    Only the kind of device that the code looks like is tried: a wrong code locks a device for a while (django-otp's
    throttling).
    """
    code = "".join(code.split()).lower()
    kind = TOTPDevice if re.fullmatch("[0-9]{6}", code) else StaticDevice
    device = kind.objects.devices_for_user(user, confirmed=True).order_by("-pk").first()
    return device and cast("Device | None", verify_token(user, device.persistent_id, code))


class StaffPasswordChangeForm(AdminPasswordChangeForm):
    """Change the password and end all of the user's API sessions. Django ends the other admin sessions."""

    def save(self, commit: bool = True) -> User:
        """Write the password column only: while the hash is computed, another request may revoke the user's rights."""
        user = super().save(commit=False)
        with transaction.atomic():
            user.save(update_fields=["password"])
            sessions.end_all(user.pk)
        return user


class _AccountThrottle(Throttle):
    """Count attempts on the account, together with those at POST /auth/token."""

    scope = "login"

    def identify(self, request: Request) -> str | None:
        return account_key(request.POST.get("username", ""))


def throttle_sign_in(request: HttpRequest) -> int | None:
    """Count a sign-in attempt by address and by account. Return the seconds to wait, or None if it is allowed."""
    return _throttle(request, LoginAddressThrottle(), _AccountThrottle())


def throttle_password_change(request: HttpRequest) -> int | None:
    """Count a password that is tried within a session. Return the seconds to wait, or None if it is allowed."""
    return _throttle(request, PasswordThrottle())


def _throttle(request: HttpRequest, *throttles: Throttle) -> int | None:
    for throttle in throttles:
        if not throttle.allows(cast(Request, request)):  # the throttles read only what a plain HttpRequest has
            return int(throttle.wait() or 1)
    return None
