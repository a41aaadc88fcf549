"""Answer follow requests: one at a time, or all of them when the account becomes public."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

from social import notifications
from social.errors import NoRequest
from social.models import Follow
from social.services import follow_events
from social.services.count_changes import record_count_changes
from social.services.locks import with_pair_lock
from social.services.relation_writes import delete_request, get_target_and_relationship, insert_follow
from social.signals import relations_changed

# One statement, so that exactly the deleted requests become follows and only new follows are counted. The ORM has no
# INSERT … SELECT.
_ACCEPT_ALL = """
WITH request AS (
    DELETE FROM social_followrequest WHERE followee_id = %s RETURNING followee_id, follower_id
)
INSERT INTO social_follow (followee_id, follower_id)
SELECT followee_id, follower_id FROM request
ON CONFLICT DO NOTHING
RETURNING follower_id
"""


@with_pair_lock
def accept_request(owner_id: int, follower_id: int) -> None:
    """Turn a request into a follow. Raises NoRequest, and UnknownUser if the requester has become inactive."""
    _, relationship = get_target_and_relationship(owner_id, follower_id)
    if not delete_request(follower_id, owner_id):
        raise NoRequest
    if not relationship.followed_by:
        insert_follow(follower_id, owner_id, follow_events.follow_accepted(follower_id, owner_id))


@with_pair_lock
def reject_request(owner_id: int, follower_id: int) -> None:
    """Delete a request. The requester is not notified and may ask again. Raises NoRequest."""
    if not delete_request(follower_id, owner_id):
        raise NoRequest


def accept_pending_requests(owner_id: int) -> int:
    """Turn every pending request to an account that becomes public into a follow. Return their number.

    Must be called inside the transaction that makes the account public, after `lock_account`: earlier requests have
    committed and are accepted here; a later one finds the account public and follows directly.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_ACCEPT_ALL, [owner_id])
        follower_ids = [row[0] for row in cursor.fetchall()]
    if follower_ids:
        notifications.retract(*(follow_events.follow_requested(id_, owner_id) for id_ in follower_ids))
        notifications.announce(*(follow_events.follow_accepted(id_, owner_id) for id_ in follower_ids))
        relations_changed.send(sender=Follow, viewer_ids=follower_ids)
        record_count_changes([(follower_id, owner_id) for follower_id in follower_ids], 1)
    return len(follower_ids)
