"""A fingerprint of a user's password hash, to which tokens and queued mails are bound."""

from __future__ import annotations

from django.utils.crypto import salted_hmac

from accounts.models import User


def password_state(user: User) -> str:
    """Return a text that changes with the password, and tells nothing about it."""
    salt, value = "accounts.mail.password_state", f"{user.pk}:{user.password}"
    return salted_hmac(salt, value, algorithm="sha256").hexdigest()[:32]
