"""Follow and its opposites, from either side."""

from __future__ import annotations

from typing import Literal

from django.db import DEFAULT_DB_ALIAS

from social import notifications
from social.errors import Blocking, OwnAccount
from social.models import FollowRequest
from social.services import news
from social.services.edges import delete_follow, delete_request, insert_follow, relation_to
from social.services.locks import on_pair

FollowState = Literal["following", "requested"]


@on_pair
def follow(follower_id: int, followee_id: int) -> FollowState:
    """Follow a public account, ask to follow a private one; the same answer however often.

    Raises OwnAccount, UnknownUser (also for an inactive follower), and Blocking while the follower
    blocks them.
    """
    if follower_id == followee_id:
        raise OwnAccount
    followee, relation = relation_to(follower_id, followee_id)
    if relation.blocking:
        raise Blocking
    if relation.following:
        return "following"
    if followee.is_private:
        if not relation.requested:
            FollowRequest.objects.using(DEFAULT_DB_ALIAS).create(follower_id=follower_id, followee_id=followee_id)
            notifications.announce(news.asked(follower_id, followee_id))
        return "requested"
    if relation.requested:
        delete_request(follower_id, followee_id)
    insert_follow(follower_id, followee_id, news.followed(follower_id, followee_id))
    return "following"


@on_pair
def unfollow(follower_id: int, followee_id: int) -> None:
    """End the follow, or withdraw the request; nothing if there is neither."""
    delete_request(follower_id, followee_id)
    delete_follow(follower_id, followee_id)


@on_pair
def remove_follower(followee_id: int, follower_id: int) -> None:
    """End the follow from the followee's side; nothing if there is none. A request stays."""
    delete_follow(follower_id, followee_id)
