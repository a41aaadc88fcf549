"""What users do with their notifications: mark them as read up to a position, which only rises, and dismiss them."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from instafeed.core.cache import hints
from instafeed.core.cache.hints import HintKind
from social.models import Notification

# One statement, so that two devices at the same time cannot lower it. The ORM has no INSERT … SELECT.
_MARK_READ = """
INSERT INTO social_notificationstate AS state (user_id, read_up_to)
SELECT recipient_id, least(position, %(up_to)s) FROM social_notification
WHERE recipient_id = %(user)s AND NOT is_dismissed ORDER BY position DESC LIMIT 1
ON CONFLICT (user_id) DO UPDATE SET read_up_to = excluded.read_up_to
WHERE state.read_up_to < excluded.read_up_to
"""


def mark_read(user_id: int, up_to: int) -> None:
    """Mark everything up to position `up_to` as read, at most up to the newest entry. Never lowers the position."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_MARK_READ, {"user": user_id, "up_to": up_to})
    # Other devices of the user show the number too.
    hint = {HintKind.NOTIFICATIONS: [user_id]}
    transaction.on_commit(lambda: hints.publish(hint), using=DEFAULT_DB_ALIAS, robust=True)


def dismiss(user_id: int, position: int) -> bool:
    """Remove the entry at a position from the user's list. Return False if the user has no entry there.

    It comes back when a new actor joins it. Then it also has a new position: a dismissal of the old one, at the same
    time or later, does not hide an actor whom the user has not seen. Dismissing again changes nothing.
    """
    entries = Notification.objects.using(DEFAULT_DB_ALIAS).filter(recipient_id=user_id, position=position)
    # Two statements, one for each partial index.
    return (
        entries.filter(is_dismissed=False).update(is_dismissed=True) > 0 or entries.filter(is_dismissed=True).exists()
    )
