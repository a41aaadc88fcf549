"""Telling users what others did, seen from the writer: one more row in its transaction.

    notifications.announce(Event("like", post.author_id, user_id, post.pk))

The row commits with what it tells of, or not at all; a worker makes entries of it (`drain`). Writers of the same
actor on the same thing (like and unlike) must already wait for one another, as ids are the order in which
events are applied. Who may hear of whom is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, guarded_client
from instafeed.core.db.replicas.session import mark_written
from instafeed.core.jobs import enqueue
from social import tasks
from social.models import NotificationKind, Verb, Warning
from social.notifications.aggregation_keys import build_key, warning_key

CONSUMER_DELAY = 0.2  # seconds from the first event to its drain, in which others join it: at most five tasks a second

# Verb, kind, subject, recipient, actor, post, comment: a NotificationEvent.
EventRow = tuple[int, str, str, int, int, int | None, int | None]
# Raw: every like does it, and bulk_create would build objects and compile the same statement each time.
_INSERT_EVENTS = """
INSERT INTO social_notificationevent (verb, kind, subject, recipient_id, actor_id, post_id, comment_id, created_at)
SELECT event.*, clock_timestamp()
FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS event
"""


@dataclass(frozen=True, slots=True)
class Event:
    """`actor_id` did something that `recipient_id` hears of; `kind` is a NotificationKind.

    A like of a post has `post_id`; one of a comment has both ids, as have all words about a comment.
    """

    kind: str
    recipient_id: int
    actor_id: int
    post_id: int | None = None
    comment_id: int | None = None


def announce(*events: Event) -> None:
    """Tell of `events`, in one INSERT. Must be called inside the transaction that makes them true.

    An own action is told to nobody (that a picture of one's own failed is none). Repeated, it changes nothing.
    ValueError for what is no event.
    """
    _enqueue_events(Verb.ANNOUNCE, events)


def warn(recipient_id: int, text: str, post_id: int | None = None, comment_id: int | None = None) -> None:
    """Tell a user what a moderator has to say, perhaps about one of their posts or comments, whatever becomes of it.

    No moderator is named: the actor is the recipient. Must be called inside the act's transaction.
    """
    warning = Warning.objects.create(recipient_id=recipient_id, text=text, post_id=post_id, comment_id=comment_id)
    subject = warning_key(warning.pk)
    _insert_rows([(Verb.ANNOUNCE, NotificationKind.WARNING, subject, recipient_id, recipient_id, post_id, comment_id)])


def retract(*events: Event) -> None:
    """Take back what was, or perhaps never was, announced with the same values; in the same way."""
    _enqueue_events(Verb.RETRACT, events)


def delete_for_posts(post_ids: Iterable[int]) -> None:
    """Drop all that was told of posts and their comments. Inside the transaction that deleted or locked them."""
    _insert_rows([(Verb.DELETE, "", "", 0, 0, post_id, None) for post_id in post_ids])


def delete_for_comments(comment_ids: Iterable[int]) -> None:
    """The same for comments and their likes."""
    _insert_rows([(Verb.DELETE, "", "", 0, 0, None, comment_id) for comment_id in comment_ids])


def _enqueue_events(verb: Verb, events: Iterable[Event]) -> None:
    _insert_rows(
        [
            (
                *(verb, event.kind, build_key(event.kind, event.actor_id, event.post_id, event.comment_id)),
                *(event.recipient_id, event.actor_id, event.post_id, event.comment_id),
            )
            for event in events
            if event.recipient_id != event.actor_id or event.kind == NotificationKind.MEDIA_FAILED
        ]
    )


def _insert_rows(rows: list[EventRow]) -> None:
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        raise transaction.TransactionManagementError("notifications belong inside the change's transaction")
    if not rows:
        return
    mark_written()
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_INSERT_EVENTS, [list(column) for column in zip(*rows, strict=True)])
    # robust: the change is committed, whatever happens to the follow-up; the sweep makes up for it.
    transaction.on_commit(_request_consumer, using=DEFAULT_DB_ALIAS, robust=True)


def _request_consumer() -> None:
    """Have the events drained soon; a hint. Of many calls in a moment one publishes a task.

    The drain takes the mark away before it looks for events, so whoever finds the mark will be looked for.
    """
    try:
        with guarded_client() as client:
            first = client.set(keys.NOTIFICATIONS_DUE, 1, nx=True, px=keys.NOTIFICATIONS_DUE_TTL_MS)
    except CacheUnavailable:
        return  # the sweep comes within seconds
    if first:
        enqueue.try_enqueue(tasks.drain_notifications, countdown=CONSUMER_DELAY)
