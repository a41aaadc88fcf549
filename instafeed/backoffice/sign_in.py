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
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django_otp import verify_token
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.request import Request

from accounts import sessions
from accounts.models import User
from accounts.throttles import PasswordThrottle, SignInThrottle, accept_password, remember_address
from accounts.usernames import canonical_username
from instafeed.core.api.throttling import Throttle

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
        return canonical_username(self.cleaned_data["username"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        user = self.get_user()
        if user is not None and "code" in self.fields:
            device = _verify_code(user, cleaned.get("code", ""))
            if device is None:
                raise ValidationError(SIGN_IN_REFUSED, code="invalid_login")
            user.otp_device = device  # type: ignore[attr-defined]  # django-otp stores it in the session
        if user is not None and self.request is not None:
            accept_password(self.request)
            remember_address(self.request, user)
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


class StaffPasswordChangeView(PasswordChangeView):
    """Change the password. Only wrong current passwords count as attempts, not weak new ones."""

    form_class = StaffPasswordChangeForm

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        accept_password(self.request)
        return super().form_valid(form)

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        if "old_password" not in form.errors:
            accept_password(self.request)
        return super().form_invalid(form)


def throttle_sign_in(request: HttpRequest) -> int | None:
    """Count a sign-in attempt, with those of the API. Return the seconds to wait, or None if it is allowed."""
    return _throttle(request, SignInThrottle())


def throttle_password_change(request: HttpRequest) -> int | None:
    """Count a password that is tried within a session. Return the seconds to wait, or None if it is allowed."""
    return _throttle(request, PasswordThrottle())


def _throttle(request: HttpRequest, throttle: Throttle) -> int | None:
    if throttle.allows(cast(Request, request)):  # the throttles read only what a plain HttpRequest has
        return None
    return int(throttle.wait() or 1)
