"""An authenticator app for tests."""

from __future__ import annotations

from base64 import b32decode

from django_otp.oath import totp

from accounts.models import SecondFactor


def code_of(secret: str, steps: int = 0) -> str:
    """Return the code that an app with this secret shows, now or some steps of 30 s later."""
    return f"{totp(b32decode(secret), t0=-30 * steps):06}"


def forget_used_codes() -> None:
    """Accept used codes again, so that a test need not wait for the next one."""
    SecondFactor.objects.update(last_step=-1)
