"""Blocking: from its commit on, the two are nothing to each other."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS

from social import notifications
from social.errors import OwnAccount
from social.models import Block, Follow, FollowRequest
from social.services import follow_events
from social.services.count_changes import record_count_changes
from social.services.locks import with_pair_lock
from social.services.relation_writes import get_target_and_relationship
from social.signals import relations_changed


@with_pair_lock
def block(blocker_id: int, blocked_id: int) -> None:
    """Block them, which ends follows and requests both ways. Raises OwnAccount, UnknownUser."""
    if blocker_id == blocked_id:
        raise OwnAccount
    _, relation = get_target_and_relationship(blocker_id, blocked_id)
    if relation.blocking:
        return
    edges = [(blocker_id, blocked_id), (blocked_id, blocker_id)]
    pairs = [(followee, follower) for follower, followee in edges]  # as the primary keys go
    Block.objects.using(DEFAULT_DB_ALIAS).create(blocker_id=blocker_id, blocked_id=blocked_id)
    FollowRequest.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=pairs).delete()
    Follow.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=pairs).delete()
    notifications.retract(
        *(
            told(*edge)
            for edge in edges
            for told in (follow_events.follow_requested, follow_events.followed, follow_events.follow_accepted)
        )
    )
    relations_changed.send(sender=Block, viewer_ids=[blocker_id, blocked_id])
    ended = [relation.following, relation.followed_by]
    record_count_changes([edge for edge, was_there in zip(edges, ended, strict=True) if was_there], -1)


@with_pair_lock
def unblock(blocker_id: int, blocked_id: int) -> None:
    """Lift the block; follows that it ended do not come back. Nothing if there is none."""
    blocks = Block.objects.using(DEFAULT_DB_ALIAS)
    gone, _ = blocks.filter(blocker_id=blocker_id, blocked_id=blocked_id).delete()
    if gone:
        relations_changed.send(sender=Block, viewer_ids=[blocker_id, blocked_id])
