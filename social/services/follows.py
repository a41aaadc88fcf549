"""Follow, unfollow, and remove a follower."""

from __future__ import annotations

from typing import Literal

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from accounts.follower_counts import get_exact_counts, with_pending_counts
from accounts.models import User
from social.errors import Blocking, FollowingLimit, OwnAccount
from social.models import FollowRequest
from social.services.follow_events import followed
from social.services.locks import lock_following, with_pair_lock
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

    Raises OwnAccount, UnknownUser (also for an inactive follower), Blocking while the follower blocks the account, and
    FollowingLimit.
    """
    if follower_id == followee_id:
        raise OwnAccount
    followee, relationship = get_target_and_relationship(follower_id, followee_id)
    if relationship.blocking:
        raise Blocking
    if relationship.following:
        return "following"
    if relationship.requested and followee.is_private:
        return "requested"
    if relationship.requested:
        delete_request(follower_id, followee_id)
    else:
        _check_following_limit(follower_id)
    if followee.is_private:
        insert_request(follower_id, followee_id)
        return "requested"
    insert_follow(follower_id, followee_id, followed(follower_id, followee_id))
    return "following"


def _check_following_limit(follower_id: int) -> None:
    """Raise FollowingLimit if the user may follow no one else. Keeps the user's other follows out until the commit.

    A request counts like a follow, so accepting it never exceeds the limit.
    """
    lock_following(follower_id)
    follower = with_pending_counts(User.objects.using(DEFAULT_DB_ALIAS)).get(pk=follower_id)
    requests = FollowRequest.objects.using(DEFAULT_DB_ALIAS).filter(follower=follower_id).count()
    if get_exact_counts(follower).following_count + requests >= settings.MAX_FOLLOWING:
        raise FollowingLimit


@with_pair_lock
def unfollow(follower_id: int, followee_id: int) -> None:
    """End the follow or withdraw the request, if there is one."""
    delete_request(follower_id, followee_id)
    delete_follow(follower_id, followee_id)


@with_pair_lock
def remove_follower(followee_id: int, follower_id: int) -> None:
    """End a follow from the followee's side, if there is one. A pending request stays."""
    delete_follow(follower_id, followee_id)
