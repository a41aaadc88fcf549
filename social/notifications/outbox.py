"""The notification outbox, as writers use it: add one row in the transaction of the change.

    notifications.announce(Event("like", post.author_id, user_id, post.pk))

The row commits or rolls back with the change that it reports. A worker then merges it into the recipient's entries
(`consumer`). Ids are the order in which events are applied, so writers of the same actor on the same target (like and
unlike) must already be serialized by a lock. Blocks and mutes are checked by the worker, not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from instafeed.core.db.replicas.session import mark_written
from instafeed.core.db.snowflake import next_ids
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from social.models import ModeratorMessage, NotificationKind, Verb
from social.notifications.aggregation_keys import build_key, message_key

consumer_task = CoalescedTask(queues.DRAIN_NOTIFICATIONS, countdown=0.2)  # at most five tasks a second

# Kinds whose actor is the recipient.
_KINDS_ABOUT_ONESELF = (NotificationKind.MEDIA_FAILED, NotificationKind.CONTENT_HIDDEN)
# A NotificationEvent: verb, kind, aggregation key, recipient, actor, post, comment.
EventRow = tuple[int, str, str, int, int, int | None, int | None]
# Raw: every like runs this. bulk_create would build objects and compile the same statement each time.
_INSERT_EVENTS = """
INSERT INTO social_notificationevent
    (verb, kind, aggregation_key, recipient_id, actor_id, post_id, comment_id, created_at)
SELECT event.*, clock_timestamp()
FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS event
"""


@dataclass(frozen=True, slots=True)
class Event:
    """An action by `actor_id` of which `recipient_id` is notified; `kind` is a NotificationKind.

    A like of a post has a `post_id`. Events about a comment, likes of it included, have both ids.
    """

    kind: str
    recipient_id: int
    actor_id: int
    post_id: int | None = None
    comment_id: int | None = None


def announce(*events: Event) -> None:
    """Write `events` to the outbox with one INSERT, inside the transaction of the change that they report.

    A user's own actions are skipped, except for failed media and hidden content. Repeating a call changes nothing.
    Raises ValueError for an impossible combination of kind and ids.
    """
    _enqueue_events(Verb.ANNOUNCE, events)


def send_moderator_message(
    kind: NotificationKind,
    recipient_ids: Iterable[int],
    text: str,
    post_id: int | None = None,
    comment_id: int | None = None,
) -> None:
    """Send a moderator's message to users, optionally about a post or comment. `kind` is WARNING or DECISION.

    It stays when that post or comment is deleted. The moderator is not named: actor and recipient are the same. Must
    be called inside the transaction of the moderator's action. Three statements, for any number of recipients.
    """
    recipients = list(recipient_ids)
    messages = [
        ModeratorMessage(pk=pk, recipient_id=recipient_id, kind=kind, text=text, post_id=post_id, comment_id=comment_id)
        for pk, recipient_id in zip(next_ids(len(recipients)), recipients, strict=True)
    ]
    ModeratorMessage.objects.bulk_create(messages)
    _insert_rows(
        [
            (Verb.ANNOUNCE, kind, message_key(each.pk), each.recipient_id, each.recipient_id, post_id, comment_id)
            for each in messages
        ]
    )


def retract(*events: Event) -> None:
    """Withdraw events that were, or may have been, announced with the same values. Same rules as `announce`."""
    _enqueue_events(Verb.RETRACT, events)


def delete_for_posts(post_ids: Iterable[int]) -> None:
    """Delete all notifications about posts and their comments.

    Must be called inside the transaction that deleted or locked the posts.
    """
    _insert_rows([(Verb.DELETE, "", "", 0, 0, post_id, None) for post_id in post_ids])


def delete_for_comments(comment_ids: Iterable[int]) -> None:
    """Delete all notifications about comments and their likes. Same rules as `delete_for_posts`."""
    _insert_rows([(Verb.DELETE, "", "", 0, 0, None, comment_id) for comment_id in comment_ids])


def consume_on_commit() -> None:
    """Have a worker consume the outbox once the current transaction commits."""
    # robust: the change is committed even if this callback fails; the periodic task consumes the events then.
    transaction.on_commit(consumer_task.request, using=DEFAULT_DB_ALIAS, robust=True)


def _enqueue_events(verb: Verb, events: Iterable[Event]) -> None:
    _insert_rows(
        [
            (
                *(verb, event.kind, build_key(event.kind, event.actor_id, event.post_id, event.comment_id)),
                *(event.recipient_id, event.actor_id, event.post_id, event.comment_id),
            )
            for event in events
            if event.recipient_id != event.actor_id or event.kind in _KINDS_ABOUT_ONESELF
        ]
    )


def _insert_rows(rows: list[EventRow]) -> None:
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        raise transaction.TransactionManagementError("notification events must be written inside a transaction")
    if not rows:
        return
    mark_written()
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_INSERT_EVENTS, [list(column) for column in zip(*rows, strict=True)])
    consume_on_commit()
