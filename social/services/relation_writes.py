"""Single steps on the graph, for callers that hold the pair; each announces and counts what it changed."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists

from accounts.models import User
from social import notifications
from social.errors import UnknownUser
from social.models import Follow, FollowRequest
from social.notifications import Event
from social.selectors import Relationship, annotate_relationship, read_annotated_relationship
from social.services import follow_events
from social.services.count_changes import record_count_changes
from social.signals import relations_changed


def get_target_and_relationship(actor_id: int, other_id: int) -> tuple[User, Relationship]:
    """The other user and what the actor is to them, as it stays until the commit; one query.

    Raises UnknownUser when either is inactive or gone, or the other has blocked the actor.
    """
    actor_is_active = Exists(User.objects.filter(pk=actor_id, is_active=True))
    others = User.objects.using(DEFAULT_DB_ALIAS).filter(actor_is_active, pk=other_id, is_active=True)
    other = annotate_relationship(others, actor_id).first()
    if other is None:
        raise UnknownUser
    relation = read_annotated_relationship(other)
    if relation.blocked_by:
        raise UnknownUser
    return other, relation


def insert_follow(follower_id: int, followee_id: int, told: Event) -> None:
    """Add a follow that is not there yet, and tell of it."""
    Follow.objects.using(DEFAULT_DB_ALIAS).create(follower_id=follower_id, followee_id=followee_id)
    notifications.announce(told)
    relations_changed.send(sender=Follow, viewer_ids=[follower_id])
    record_count_changes([(follower_id, followee_id)], 1)


def delete_follow(follower_id: int, followee_id: int) -> bool:
    """End a follow; False if there is none."""
    follows = Follow.objects.using(DEFAULT_DB_ALIAS)
    gone, _ = follows.filter(follower_id=follower_id, followee_id=followee_id).delete()
    if gone:
        notifications.retract(
            follow_events.followed(follower_id, followee_id), follow_events.follow_accepted(follower_id, followee_id)
        )
        relations_changed.send(sender=Follow, viewer_ids=[follower_id])
        record_count_changes([(follower_id, followee_id)], -1)
    return bool(gone)


def delete_request(follower_id: int, followee_id: int) -> bool:
    """Drop a request; False if there is none."""
    requests = FollowRequest.objects.using(DEFAULT_DB_ALIAS)
    gone, _ = requests.filter(follower_id=follower_id, followee_id=followee_id).delete()
    if gone:
        notifications.retract(follow_events.follow_requested(follower_id, followee_id))
    return bool(gone)
