"""The position up to which a user has read their notifications. It only rises."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

# One statement, so that two devices at the same time cannot lower it. The ORM has no INSERT … SELECT.
_MARK_READ = """
INSERT INTO social_notificationstate AS state (user_id, read_up_to)
SELECT recipient_id, least(position, %(up_to)s) FROM social_notification
WHERE recipient_id = %(user)s ORDER BY position DESC LIMIT 1
ON CONFLICT (user_id) DO UPDATE SET read_up_to = excluded.read_up_to
WHERE state.read_up_to < excluded.read_up_to
"""


def mark_read(user_id: int, up_to: int) -> None:
    """Mark everything up to position `up_to` as read, at most up to the newest entry. Never lowers the position."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_MARK_READ, {"user": user_id, "up_to": up_to})
