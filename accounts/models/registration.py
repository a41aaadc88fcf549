"""What operators and moderators decide about registrations: invites, blocks, and accounts that await approval."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models.user import User
from instafeed.core.db.cidr import CidrField

MAX_NOTE_LENGTH = 200  # characters
INVITE_CODE_LENGTH = 28  # characters, without hyphens


class Invite(models.Model):
    """A code with which `max_uses` accounts can be registered (accounts.invites). Revoked, never deleted."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=INVITE_CODE_LENGTH, unique=True, editable=False)
    max_uses = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=MAX_NOTE_LENGTH, blank=True, default="")
    # Null for those of the management command, and of staff whose account was erased.
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="created_invite_set")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(uses__lte=F("max_uses")), name="invite_uses_are_limited")]

    def __str__(self) -> str:
        return f"invite {self.pk}"


class BlockedEmailDomain(models.Model):
    """A domain whose addresses, also those of its subdomains, are refused (accounts.registration_blocks)."""

    id = models.BigAutoField(primary_key=True)
    # In the form of accounts.registration_blocks.canonical_domain.
    domain = models.CharField(max_length=253, unique=True)
    note = models.CharField(max_length=MAX_NOTE_LENGTH, blank=True, default="")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="blocked_domain_set")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(domain__regex=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)+$"), name="blocked_domain_is_canonical"
            )
        ]

    def __str__(self) -> str:
        return self.domain


class BlockedNetwork(models.Model):
    """Client addresses from which no one can register (accounts.registration_blocks)."""

    id = models.BigAutoField(primary_key=True)
    network = CidrField(unique=True, help_text="An address, or a network such as 203.0.113.0/24 or 2001:db8::/32.")
    note = models.CharField(max_length=MAX_NOTE_LENGTH, blank=True, default="")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="blocked_network_set")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return str(self.network)


class UsedChallenge(models.Model):
    """A captcha that was solved and used (accounts.captcha). The row prevents its second use until it expires."""

    digest = models.BinaryField(max_length=32, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"challenge {bytes(self.digest).hex()}"


class PendingAccount(User):
    """An account that awaits approval, as a model of its own: staff see its page by a permission of its own."""

    class Meta:
        proxy = True
