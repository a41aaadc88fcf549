"""Muting: silent in the muter's feed and notifications, unknown to the muted."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS

from social.errors import OwnAccount
from social.models import Mute
from social.services.edges import relation_to
from social.services.locks import on_pair
from social.signals import relations_changed


@on_pair
def mute(muter_id: int, muted_id: int) -> None:
    """Mute them, followed or not. Raises OwnAccount, UnknownUser."""
    if muter_id == muted_id:
        raise OwnAccount
    _, relation = relation_to(muter_id, muted_id)
    if not relation.muting:
        Mute.objects.using(DEFAULT_DB_ALIAS).create(muter_id=muter_id, muted_id=muted_id)
        relations_changed.send(sender=Mute, viewer_ids=[muter_id])


@on_pair
def unmute(muter_id: int, muted_id: int) -> None:
    """Hear them again; nothing if they are not muted."""
    mutes = Mute.objects.using(DEFAULT_DB_ALIAS)
    gone, _ = mutes.filter(muter_id=muter_id, muted_id=muted_id).delete()
    if gone:
        relations_changed.send(sender=Mute, viewer_ids=[muter_id])
