"""Invites: codes with which accounts can be registered (accounts.registration says when one is needed).

A use is counted in the transaction of the registration, so a registration that fails uses up nothing, and of two
concurrent ones with the last use of a code one succeeds.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import Invite, User
from accounts.models.registration import INVITE_CODE_LENGTH

MAX_USES = 100_000
MAX_DAYS = 3_650
MAX_TYPED_LENGTH = 64  # characters of a typed code
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without l, o, 0 and 1: 5 bits a character, 140 a code


@transaction.atomic
def create(actor: User, *, max_uses: int, expires_at: datetime | None, note: str = "") -> Invite:
    """Create an invite. `actor` is a member of staff, or operator_actions.SHELL."""
    invite = Invite.objects.create(
        code="".join(secrets.choice(_ALPHABET) for _ in range(INVITE_CODE_LENGTH)),
        max_uses=max_uses,
        expires_at=expires_at,
        note=note,
        created_by_id=actor.pk or None,
    )
    after = {"max_uses": max_uses, "expires_at": expires_at}
    audit.record(actor, "create_invite", "invite", invite.pk, user_id=None, after=after)
    return invite


@transaction.atomic
def revoke(actor: User, invite_id: int, reason: str = "") -> bool:
    """Make an invite invalid. Accounts that came by it stay. Return False if it was revoked before."""
    live = Invite.objects.filter(pk=invite_id, revoked_at=None)
    if not live.update(revoked_at=timezone.now()):
        return False
    audit.record(actor, "revoke_invite", "invite", invite_id, user_id=None, reason=reason)
    return True


def is_valid(code: str) -> bool:
    """Return whether an account could be registered with a typed code now."""
    return _valid(code).exists()


def use(code: str) -> Invite | None:
    """Count a use of a typed code and return its invite; None if it is wrong, expired, used up or revoked.

    Call it in the transaction of the registration. The invite stays locked until its end.
    """
    if not _valid(code).update(uses=F("uses") + 1):
        return None
    return Invite.objects.using(DEFAULT_DB_ALIAS).get(code=_canonical(code))


def in_days(days: int) -> datetime:
    """Return the time at which an invite expires that is valid for some days."""
    return timezone.now() + timedelta(days=days)


def format_code(invite: Invite) -> str:
    """Return the code for people: in groups of four."""
    return "-".join(re.findall(".{4}", invite.code))


def link(invite: Invite) -> str:
    """Return the page or deep link of the app in which someone can register with the invite."""
    return settings.INVITE_URL.replace("{token}", format_code(invite))


def _valid(code: str) -> QuerySet[Invite]:
    is_fresh = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    invites = Invite.objects.using(DEFAULT_DB_ALIAS).filter(is_fresh, code=_canonical(code), revoked_at=None)
    return invites.filter(uses__lt=F("max_uses"))


def _canonical(code: str) -> str:
    """Return a typed code as it is stored: in lower case, without hyphens and white space."""
    return re.sub(r"[\s-]", "", code).lower()
