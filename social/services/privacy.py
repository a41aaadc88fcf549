"""Turning private and public while others follow: nobody is left waiting, nobody slips in."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

from social import notifications
from social.models import Follow
from social.services import follow_events
from social.services.count_changes import record_count_changes
from social.signals import relations_changed

# One statement, so that what is inserted is exactly what was taken from the requests, and only those rows
# that are really new are counted; the ORM has no INSERT … SELECT.
_ACCEPT_ALL = """
WITH request AS (
    DELETE FROM social_followrequest WHERE followee_id = %s RETURNING followee_id, follower_id
)
INSERT INTO social_follow (followee_id, follower_id)
SELECT followee_id, follower_id FROM request
ON CONFLICT DO NOTHING
RETURNING follower_id
"""


def accept_pending_requests(owner_id: int) -> int:
    """Make every pending request to an account that turns public a follow; returns how many.

    Belongs inside the transaction that turns it public, after `lock_account`: a request made before has
    committed and is seen here, one made after finds the account public and is a follow at once.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_ACCEPT_ALL, [owner_id])
        follower_ids = [row[0] for row in cursor.fetchall()]
    if follower_ids:
        notifications.retract(*(follow_events.follow_requested(follower_id, owner_id) for follower_id in follower_ids))
        notifications.announce(*(follow_events.follow_accepted(follower_id, owner_id) for follower_id in follower_ids))
        relations_changed.send(sender=Follow, viewer_ids=follower_ids)
        record_count_changes([(follower_id, owner_id) for follower_id in follower_ids], 1)
    return len(follower_ids)
