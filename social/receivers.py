"""What follows for the graph when an account changes; connected in `SocialConfig.ready`."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import privacy_changed, privacy_changing
from social.models import FollowRequest
from social.services.locks import lock_account
from social.services.privacy import admit_requesters


@receiver(privacy_changing)
def keep_relation_writes_out(user_id: int, **_: Any) -> None:
    """Nobody follows, by the old rule or by the new, until the change has committed."""
    lock_account(user_id)
    # Rows in ascending order, as everybody: who turns public locks those it admits, with lower ids than its own too.
    requesters = FollowRequest.objects.using(DEFAULT_DB_ALIAS).filter(followee_id=user_id).values("follower_id")
    rows = User.objects.using(DEFAULT_DB_ALIAS).filter(Q(pk=user_id) | Q(pk__in=requesters))
    list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk"))


@receiver(privacy_changed)
def admit_who_waits(user_id: int, is_private: bool, **_: Any) -> None:
    if not is_private:
        admit_requesters(user_id)
