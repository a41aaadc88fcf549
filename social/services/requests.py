"""The owner of a private account answers who asks to follow."""

from __future__ import annotations

from social.errors import NoRequest
from social.services import news
from social.services.edges import delete_request, insert_follow, relation_to
from social.services.locks import on_pair


@on_pair
def accept_request(owner_id: int, follower_id: int) -> None:
    """Make the request a follow. Raises NoRequest, and UnknownUser for a requester who has gone inactive."""
    _, relation = relation_to(owner_id, follower_id)
    if not delete_request(follower_id, owner_id):
        raise NoRequest
    if not relation.followed_by:
        insert_follow(follower_id, owner_id, news.accepted(follower_id, owner_id))


@on_pair
def reject_request(owner_id: int, follower_id: int) -> None:
    """Drop the request; the requester may ask again and is not told. Raises NoRequest."""
    if not delete_request(follower_id, owner_id):
        raise NoRequest
