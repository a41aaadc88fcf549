"""Single writes on the social graph for services that hold the pair's lock.

Each write also announces or retracts notifications, sends `relations_changed` and records count changes.
"""

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


def get_target_and_relationship(
    actor_id: int, target_id: int, *, despite_block: bool = False
) -> tuple[User, Relationship]:
    """Return the target user and the actor's relationship to them in one query. Under the lock it stays true.

    Raises UnknownUser if either user is inactive or deleted, or, without `despite_block`, if the target blocks the
    actor.
    """
    actor_is_active = Exists(User.objects.filter(pk=actor_id, is_active=True))
    targets = User.objects.using(DEFAULT_DB_ALIAS).filter(actor_is_active, pk=target_id, is_active=True)
    target = annotate_relationship(targets, actor_id).first()
    if target is None:
        raise UnknownUser
    relationship = read_annotated_relationship(target)
    if relationship.blocked_by and not despite_block:
        raise UnknownUser
    return target, relationship


def insert_follow(follower_id: int, followee_id: int, event: Event) -> None:
    """Insert a follow that does not exist yet and announce `event`."""
    Follow.objects.using(DEFAULT_DB_ALIAS).create(follower_id=follower_id, followee_id=followee_id)
    notifications.announce(event)
    relations_changed.send(sender=Follow, viewer_ids=[follower_id])
    record_count_changes([(follower_id, followee_id)], 1)


def delete_follow(follower_id: int, followee_id: int) -> None:
    """Delete a follow if it exists."""
    follows = Follow.objects.using(DEFAULT_DB_ALIAS)
    deleted, _ = follows.filter(follower_id=follower_id, followee_id=followee_id).delete()
    if deleted:
        notifications.retract(
            follow_events.followed(follower_id, followee_id), follow_events.follow_accepted(follower_id, followee_id)
        )
        relations_changed.send(sender=Follow, viewer_ids=[follower_id])
        record_count_changes([(follower_id, followee_id)], -1)


def insert_request(follower_id: int, followee_id: int) -> None:
    """Insert a follow request that does not exist yet and announce it."""
    FollowRequest.objects.using(DEFAULT_DB_ALIAS).create(follower_id=follower_id, followee_id=followee_id)
    notifications.announce(follow_events.follow_requested(follower_id, followee_id))


def delete_request(follower_id: int, followee_id: int) -> bool:
    """Delete a follow request. Return False if there is none."""
    requests = FollowRequest.objects.using(DEFAULT_DB_ALIAS)
    deleted, _ = requests.filter(follower_id=follower_id, followee_id=followee_id).delete()
    if deleted:
        notifications.retract(follow_events.follow_requested(follower_id, followee_id))
    return bool(deleted)
