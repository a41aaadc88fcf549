"""Outgoing mails, and the tokens of their links."""

from __future__ import annotations

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from accounts.models.user import User
from instafeed.core.jobs.leased import JobState, LeasedJob


class MailKind(models.TextChoices):
    """What a mail is for. `accounts.mail.messages` has its content."""

    VERIFY = "verify", "verify the address"
    RESET = "reset", "reset the password"
    CHANGE = "change", "confirm a new address"
    CHANGE_NOTICE = "change_notice", "notice of a new address"
    PASSWORD_NOTICE = "password_notice", "notice of a new password"
    SIGN_IN_NOTICE = "sign_in_notice", "notice of a sign-in"
    EXPORT_NOTICE = "export_notice", "notice of an export"
    APPROVAL_NOTICE = "approval_notice", "notice of an approved registration"
    SUSPENSION_NOTICE = "suspension_notice", "notice of a suspension"


class OutgoingMail(LeasedJob):
    """A mail to send: what is needed to write it, without its finished text and its token (accounts.mail).

    Written in the transaction of its cause and deleted when a mail server has accepted the mail.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=20, choices=MailKind)
    address = models.EmailField(max_length=254)
    # Null while it is unknown whose address it is: the worker looks it up, so that requests take the same time.
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="mail_set")
    password_state = models.CharField(max_length=32, default="", db_default="")  # of the user when the mail was caused
    details = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))  # further values for the text
    # How often the content was given to a mail server that did not say whether it accepted it.
    uncertain = models.PositiveSmallIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="mail_due"),
            models.Index(fields=["due_at"], name="mail_dead", condition=Q(state=JobState.DEAD)),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk} ({self.kind})"


class OneTimeToken(models.Model):
    """The right to do one thing once, proved by a token that was mailed (accounts.mail.one_time_tokens)."""

    id = models.BigAutoField(primary_key=True)
    digest = models.BinaryField(max_length=32, unique=True)  # SHA-256 of the token
    purpose = models.CharField(max_length=20, choices=MailKind)
    user = models.ForeignKey(User, models.CASCADE, related_name="one_time_token_set")
    address = models.EmailField(max_length=254)  # to which the token was sent
    password_state = models.CharField(max_length=32)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"token {self.pk} ({self.purpose})"
