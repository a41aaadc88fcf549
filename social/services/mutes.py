"""Mute and unmute. A mute hides a user from the muting user's feed and notifications; the muted user cannot see it."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS

from social.errors import OwnAccount
from social.models import Mute
from social.services.locks import with_pair_lock
from social.services.relation_writes import get_target_and_relationship
from social.signals import relations_changed


@with_pair_lock
def mute(muter_id: int, muted_id: int) -> None:
    """Mute a user, followed or not. Raises OwnAccount, UnknownUser."""
    if muter_id == muted_id:
        raise OwnAccount
    _, relationship = get_target_and_relationship(muter_id, muted_id)
    if not relationship.muting:
        Mute.objects.using(DEFAULT_DB_ALIAS).create(muter_id=muter_id, muted_id=muted_id)
        relations_changed.send(sender=Mute, viewer_ids=[muter_id])


@with_pair_lock
def unmute(muter_id: int, muted_id: int) -> None:
    """Remove a mute, if there is one."""
    mutes = Mute.objects.using(DEFAULT_DB_ALIAS)
    deleted, _ = mutes.filter(muter_id=muter_id, muted_id=muted_id).delete()
    if deleted:
        relations_changed.send(sender=Mute, viewer_ids=[muter_id])
