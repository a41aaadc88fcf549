"""Subscribe browsers. A subscription belongs to a session, and ends with it."""

from __future__ import annotations

from collections.abc import Collection

from django.db import DEFAULT_DB_ALIAS, transaction

from accounts import sessions
from accounts.models import User
from social.models import OutgoingPush, PushSubscription

MAX_SUBSCRIPTIONS = 20  # of a user; one more replaces the oldest


class SessionEnded(Exception):
    """The session has ended meanwhile."""


def subscribe(user_id: int, session_id: int, endpoint: str, p256dh: bytes, auth: bytes) -> bool:
    """Subscribe the browser of a session; return whether this is new. Again: it gets the new keys.

    An endpoint is one browser. If another session has it, it moves here with the browser. Raises SessionEnded.
    """
    with transaction.atomic(DEFAULT_DB_ALIAS):
        # Before the session, as in accounts.sessions. It also keeps the number of subscriptions.
        User.objects.select_for_update(no_key=True).filter(pk=user_id).exists()
        # Under the lock, so that the session ends before this, or after it and with the subscription.
        if not sessions.get_live(user_id).select_for_update(no_key=True).filter(pk=session_id).exists():
            raise SessionEnded
        own = PushSubscription.objects.using(DEFAULT_DB_ALIAS).filter(session=session_id, endpoint=endpoint)
        is_known = own.exists()
        fields = {"user_id": user_id, "session_id": session_id, "p256dh": p256dh, "auth": auth}
        PushSubscription.objects.bulk_create(
            [PushSubscription(endpoint=endpoint, **fields)],
            update_conflicts=True,
            unique_fields=["endpoint"],
            update_fields=["user_id", "session", "p256dh", "auth"],
        )
        _delete_surplus(user_id)
    return not is_known


def unsubscribe(session_id: int, endpoint: str | None = None) -> None:
    """Delete the subscription of a session with this endpoint, or all of the session."""
    rows = PushSubscription.objects.filter(session=session_id)
    if endpoint is not None:
        rows = rows.filter(endpoint=endpoint)
    rows.delete()


def delete_of_sessions(session_ids: Collection[int]) -> None:
    PushSubscription.objects.filter(session__in=session_ids).delete()


def delete_of_user(user_id: int) -> bool:
    """Delete the subscriptions of a user, and the messages that wait for them. Return True when none is left."""
    ids = list(PushSubscription.objects.using(DEFAULT_DB_ALIAS).filter(user_id=user_id).values_list("pk", flat=True))
    OutgoingPush.objects.filter(subscription_id__in=ids).delete()
    PushSubscription.objects.filter(pk__in=ids).delete()
    return not ids


def _delete_surplus(user_id: int) -> None:
    newest = PushSubscription.objects.using(DEFAULT_DB_ALIAS).filter(user_id=user_id).order_by("-pk")
    surplus = list(newest.values_list("pk", flat=True)[MAX_SUBSCRIPTIONS:])
    if surplus:
        PushSubscription.objects.filter(pk__in=surplus).delete()
