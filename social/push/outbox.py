"""The outbox: a row for each message to a subscription, written in the transaction that changes the notification.

A subscription gets one message about a notification at a time. Actors who join it before that is sent need no message
of their own; after it, the next message waits for `REPEAT_INTERVAL`: a post that a thousand users like does not ring
a thousand times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.functions import Now

from instafeed.core.db.batches import delete_batch
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import JobState, LeasedQueue
from social.models import Notification, OutgoingPush
from social.push import vapid

LEASE = timedelta(seconds=30)  # longer than the time limit of the task that sends messages
REPEAT_INTERVAL = timedelta(minutes=5)
DELETE_BATCH_SIZE = 1_000
# One statement for a batch of events. For recipients without a subscription it reads one index.
# A row whose message is being sent loses its lease: the worker leaves it, and it is sent again after the interval.
_INSERT = f"""
INSERT INTO social_outgoingpush AS push (subscription_id, notification_id)
SELECT subscription.id, entry.id
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS entry (id, recipient, kind)
JOIN social_pushsubscription AS subscription ON subscription.user_id = entry.recipient
LEFT JOIN social_notificationpreference AS preference
  ON preference.user_id = entry.recipient AND preference.kind = entry.kind
WHERE preference.push IS DISTINCT FROM FALSE
ORDER BY subscription.id, entry.id -- the order in which workers lock rows too, as a rule
ON CONFLICT (subscription_id, notification_id) DO UPDATE
SET announced_at = excluded.announced_at,
    state = {JobState.PENDING:d},
    lease = NULL,
    due_at = CASE WHEN push.state = {JobState.RUNNING:d}
             THEN excluded.due_at + make_interval(secs => %s) ELSE push.due_at END
"""  # noqa: S608 (numbers)

# Retried after 10 s, 20 s and so on, up to a quarter of an hour; `posts.push_messages` gives up by age.
queue = LeasedQueue(
    OutgoingPush.objects.all(),
    task=CoalescedTask(queues.SEND_PUSHES),
    lease=LEASE,
    retry_delay=timedelta(seconds=5),
    max_retry_delay=timedelta(minutes=15),
)


def enqueue(entries: Sequence[Notification]) -> None:
    """Queue a message about each entry to each subscription of its recipient, unless they do not want this kind.

    Call it in the transaction that adds or moves the entries. Does nothing if push is off.
    """
    if not entries or not vapid.is_on():
        return
    rows = [(entry.pk, entry.recipient_id, str(entry.kind)) for entry in entries]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            _INSERT, [*(list(column) for column in zip(*rows, strict=True)), REPEAT_INTERVAL.total_seconds()]
        )
        if cursor.rowcount:
            queue.request_task_on_commit()


def delete_done() -> None:
    """Delete a batch of sent messages whose interval is over."""
    done = OutgoingPush.objects.using(DEFAULT_DB_ALIAS).filter(state=JobState.DONE, due_at__lt=Now())
    delete_batch(done.order_by("due_at"), DELETE_BATCH_SIZE)
