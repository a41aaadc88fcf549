"""Follow, unfollow, and remove a follower."""

from __future__ import annotations

from typing import Literal

from social.errors import Blocking, OwnAccount
from social.services.follow_events import followed
from social.services.locks import with_pair_lock
from social.services.relation_writes import (
    delete_follow,
    delete_request,
    get_target_and_relationship,
    insert_follow,
    insert_request,
)

FollowState = Literal["following", "requested"]


@with_pair_lock
def follow(follower_id: int, followee_id: int) -> FollowState:
    """Follow a public account, or request to follow a private one. Repeated calls return the same state.

    Raises OwnAccount, UnknownUser (also for an inactive follower), and Blocking while the follower blocks the account.
    """
    if follower_id == followee_id:
        raise OwnAccount
    followee, relationship = get_target_and_relationship(follower_id, followee_id)
    if relationship.blocking:
        raise Blocking
    if relationship.following:
        return "following"
    if followee.is_private:
        if not relationship.requested:
            insert_request(follower_id, followee_id)
        return "requested"
    if relationship.requested:
        delete_request(follower_id, followee_id)
    insert_follow(follower_id, followee_id, followed(follower_id, followee_id))
    return "following"


@with_pair_lock
def unfollow(follower_id: int, followee_id: int) -> None:
    """End the follow or withdraw the request, if there is one."""
    delete_request(follower_id, followee_id)
    delete_follow(follower_id, followee_id)


@with_pair_lock
def remove_follower(followee_id: int, follower_id: int) -> None:
    """End a follow from the followee's side, if there is one. A pending request stays."""
    delete_follow(follower_id, followee_id)
