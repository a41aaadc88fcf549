"""The owner of a private account answers who asks to follow."""

from __future__ import annotations

from social.errors import NoRequest
from social.services import follow_events
from social.services.locks import with_pair_lock
from social.services.relation_writes import delete_request, get_target_and_relationship, insert_follow


@with_pair_lock
def accept_request(owner_id: int, follower_id: int) -> None:
    """Make the request a follow. Raises NoRequest, and UnknownUser for a requester who has gone inactive."""
    _, relation = get_target_and_relationship(owner_id, follower_id)
    if not delete_request(follower_id, owner_id):
        raise NoRequest
    if not relation.followed_by:
        insert_follow(follower_id, owner_id, follow_events.follow_accepted(follower_id, owner_id))


@with_pair_lock
def reject_request(owner_id: int, follower_id: int) -> None:
    """Drop the request; the requester may ask again and is not told. Raises NoRequest."""
    if not delete_request(follower_id, owner_id):
        raise NoRequest
