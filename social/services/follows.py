"""Follow and its opposites, from either side."""

from __future__ import annotations

from typing import Literal

from django.db import DEFAULT_DB_ALIAS

from social import notifications
from social.errors import Blocking, OwnAccount
from social.models import FollowRequest
from social.services import follow_events
from social.services.locks import with_pair_lock
from social.services.relation_writes import delete_follow, delete_request, get_target_and_relationship, insert_follow

FollowState = Literal["following", "requested"]


@with_pair_lock
def follow(follower_id: int, followee_id: int) -> FollowState:
    """Follow a public account, ask to follow a private one; the same answer however often.

    Raises OwnAccount, UnknownUser (also for an inactive follower), and Blocking while the follower
    blocks them.
    """
    if follower_id == followee_id:
        raise OwnAccount
    followee, relation = get_target_and_relationship(follower_id, followee_id)
    if relation.blocking:
        raise Blocking
    if relation.following:
        return "following"
    if followee.is_private:
        if not relation.requested:
            FollowRequest.objects.using(DEFAULT_DB_ALIAS).create(follower_id=follower_id, followee_id=followee_id)
            notifications.announce(follow_events.follow_requested(follower_id, followee_id))
        return "requested"
    if relation.requested:
        delete_request(follower_id, followee_id)
    insert_follow(follower_id, followee_id, follow_events.followed(follower_id, followee_id))
    return "following"


@with_pair_lock
def unfollow(follower_id: int, followee_id: int) -> None:
    """End the follow, or withdraw the request; nothing if there is neither."""
    delete_request(follower_id, followee_id)
    delete_follow(follower_id, followee_id)


@with_pair_lock
def remove_follower(followee_id: int, follower_id: int) -> None:
    """End the follow from the followee's side; nothing if there is none. A request stays."""
    delete_follow(follower_id, followee_id)
