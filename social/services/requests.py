"""Answer follow requests: one at a time, or in batches when the account becomes public."""

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

ACCEPT_BATCH_SIZE = 500

# One statement, so that exactly the deleted requests become follows and only new follows are counted. The ORM has no
# INSERT … SELECT.
_ACCEPT_BATCH = """
WITH request AS (
    DELETE FROM social_followrequest WHERE followee_id = %(owner)s AND follower_id IN (
        SELECT follower_id FROM social_followrequest WHERE followee_id = %(owner)s
        ORDER BY follower_id LIMIT %(batch_size)s
    )
    RETURNING followee_id, follower_id
), accepted AS (
    INSERT INTO social_follow (followee_id, follower_id)
    SELECT followee_id, follower_id FROM request
    ON CONFLICT DO NOTHING
    RETURNING follower_id
)
SELECT (SELECT count(*) FROM request), ARRAY(SELECT follower_id FROM accepted ORDER BY follower_id)
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


def accept_request_batch(owner_id: int) -> bool:
    """Turn up to ACCEPT_BATCH_SIZE requests to a public account into follows. Return whether more may be left.

    Must be called inside a transaction that has called `lock_account`.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_ACCEPT_BATCH, {"owner": owner_id, "batch_size": ACCEPT_BATCH_SIZE})
        count, follower_ids = cursor.fetchone()
    if follower_ids:
        notifications.retract(*(follow_events.follow_requested(id_, owner_id) for id_ in follower_ids))
        notifications.announce(*(follow_events.follow_accepted(id_, owner_id) for id_ in follower_ids))
        relations_changed.send(sender=Follow, viewer_ids=follower_ids)
        record_count_changes([(follower_id, owner_id) for follower_id in follower_ids], 1)
    return bool(count == ACCEPT_BATCH_SIZE)
