"""Sign-in to the admin: password, second factor, and rate limits.

The second factor is that of the API (accounts.second_factor). Staff who have one need it; with ADMIN_OTP all staff need
one.

Every refusal has the same text and takes about the same time for every cause. It does not reveal which accounts
exist, which are staff, or that the password was right.
"""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.hashers import make_password
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from accounts import second_factor, sessions
from accounts.models import SecondFactor, User
from accounts.throttles import (
    PasswordThrottle,
    SignInThrottle,
    accept_password,
    find_account_within_limit,
    remember_address,
)
from accounts.usernames import MAX_SIGN_IN_NAME_LENGTH, canonical_username
from instafeed.core.api.throttling import Throttle

SIGN_IN_REFUSED = "No member of staff with these credentials."


class SignInForm(AdminAuthenticationForm):
    """Username (in any case, as in the API), password, and a code of the second factor."""

    error_messages = {"invalid_login": SIGN_IN_REFUSED, "inactive": SIGN_IN_REFUSED}
    code = forms.CharField(
        max_length=second_factor.MAX_CODE_LENGTH,
        label="Code of your app, or a recovery code:",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}),
    )
    field_order = ["username", "password", "code"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.ADMIN_OTP:
            self.fields["code"].required = False
            self.fields["code"].label = "Code of your app, if you have a second factor:"

    def clean_username(self) -> str:
        # The length with all white space, which is what the limit on attempts counts.
        is_too_long = len(self.data.get(self.add_prefix("username"), "")) > MAX_SIGN_IN_NAME_LENGTH
        return "" if is_too_long else canonical_username(self.cleaned_data["username"])

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username and password and self.request is not None:
            self._require_account_within_limit(self.request, username, password)
        cleaned = super().clean() or {}
        user = self.get_user()
        if user is not None:
            user.otp_device = _use_code(user, cleaned.get("code", ""))  # type: ignore[attr-defined]  # for django-otp
        if user is not None and self.request is not None:
            accept_password(self.request)
            remember_address(self.request, user)
        return cleaned

    def _require_account_within_limit(self, request: HttpRequest, username: str, password: str) -> None:
        if find_account_within_limit(request, username) is None:
            make_password(password)  # takes as long as a wrong password
            raise ValidationError(SIGN_IN_REFUSED, code="invalid_login")


def _use_code(user: User, code: str) -> SecondFactor | None:
    """Return the user's second factor if it accepts the code, or None if the user needs none.

    Raises ValidationError for a wrong or missing code, and for a user who needs a second factor and has none.
    """
    try:
        with transaction.atomic():
            factor = second_factor.use_code(user.pk, code)
    except (second_factor.CodeRequired, second_factor.WrongCode):
        raise ValidationError(SIGN_IN_REFUSED, code="invalid_login") from None
    if factor is None and settings.ADMIN_OTP:
        raise ValidationError(SIGN_IN_REFUSED, code="invalid_login")
    return factor


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
