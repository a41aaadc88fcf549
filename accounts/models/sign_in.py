"""Sessions and second factors."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django_otp.models import Device

from accounts.models.user import User
from instafeed.core.encryption import KEY_ID_LENGTH


class Session(models.Model):
    """A sign-in. Each refresh token replaces the one before; only the newest is valid (see accounts.sessions)."""

    id = models.BigAutoField(primary_key=True)
    # db_index=False: the indexes below cover it.
    user = models.ForeignKey(User, models.CASCADE, related_name="session_set", db_index=False)
    refresh_jti = models.CharField(max_length=32)  # of the newest refresh token
    previous_jti = models.CharField(max_length=32, default="", db_default="")  # of the one before
    refreshed_at = models.DateTimeField(null=True, blank=True)  # when the newest replaced it
    # Of the client that signed in or refreshed last (accounts.client_info).
    client = models.CharField(max_length=100, default="", db_default="")
    address = models.CharField(max_length=50, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    # When the last token of the session has expired; then the row can be deleted.
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "id"], name="session_user"),
            models.Index(fields=["user", "id"], name="session_live", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"session {self.pk}"

    @property
    def last_used_at(self) -> datetime:
        """When tokens were last issued. Requests with an access token do not write to the row."""
        return self.refreshed_at or self.created_at


class SecondFactor(Device):
    """A user's authenticator app (accounts.second_factor). While `confirmed`, every sign-in needs a code of it.

    A Device of django-otp, whose middleware says which sessions of the admin were opened with a code.
    """

    name = None  # of the base class
    id = models.BigAutoField(primary_key=True)
    user = models.OneToOneField(User, models.CASCADE, related_name="second_factor")
    encrypted_secret = models.CharField(max_length=200)
    key_id = models.CharField(max_length=KEY_ID_LENGTH, db_index=True)  # see instafeed.core.encryption
    last_step = models.BigIntegerField(default=-1)  # of the newest code that was used; it and older ones are refused
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"


class RecoveryCode(models.Model):
    """A code that replaces one of the authenticator app. The row is deleted when it is used."""

    id = models.BigAutoField(primary_key=True)
    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="recovery_code_set", db_index=False)
    digest = models.CharField(max_length=64)  # SHA-256, in hexadecimal

    class Meta:
        constraints = [models.UniqueConstraint(fields=["factor", "digest"], name="recovery_code_unique")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"
