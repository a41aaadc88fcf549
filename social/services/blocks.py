"""Block and unblock. A block ends the follows and follow requests between two users."""

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
    """Block a user and end follows and requests both ways. Raises OwnAccount, UnknownUser.

    The other may already block the blocker: `social.visibility.get_reachable_user` decides who can be blocked then.
    """
    if blocker_id == blocked_id:
        raise OwnAccount
    _, relationship = get_target_and_relationship(blocker_id, blocked_id, despite_block=True)
    if relationship.blocking:
        return
    edges = [(blocker_id, blocked_id), (blocked_id, blocker_id)]  # follower, followee
    pks = [(followee, follower) for follower, followee in edges]  # of Follow and FollowRequest
    Block.objects.using(DEFAULT_DB_ALIAS).create(blocker_id=blocker_id, blocked_id=blocked_id)
    FollowRequest.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=pks).delete()
    Follow.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=pks).delete()
    notifications.retract(*(event for edge in edges for event in follow_events.all_between(*edge)))
    # The other's timeline changes only by the end of their follow. Otherwise anyone could keep it cold by blocks.
    followers = [blocked_id] if relationship.followed_by else []
    relations_changed.send(sender=Block, viewer_ids=[blocker_id, *followers])
    existed = [relationship.following, relationship.followed_by]
    record_count_changes([edge for edge, followed in zip(edges, existed, strict=True) if followed], -1)


@with_pair_lock
def unblock(blocker_id: int, blocked_id: int) -> None:
    """Remove a block, if there is one. The follows that it ended are not restored."""
    blocks = Block.objects.using(DEFAULT_DB_ALIAS)
    deleted, _ = blocks.filter(blocker_id=blocker_id, blocked_id=blocked_id).delete()
    if deleted:  # neither follows the other, so the other's timeline stays as it is
        relations_changed.send(sender=Block, viewer_ids=[blocker_id])
