"""Send the push messages that are due. This lives in posts, because it needs the visibility of posts and comments.

A message says that there is something: the kind and id of a notification, and how many are unread. Names and texts
stay on the site, where each read decides what the user may see.

    send_due → queue.claim_due → _select_sendable → delivery.send, in threads → _record

Whether a message is still right is decided here, not when it was queued: its session has not ended, its recipient
still wants this kind, and the notification is in the recipient's list and unread.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from instafeed.core import compact_json
from instafeed.core.jobs.leased import Outcome, now_plus
from instafeed.core.observability.metrics import PUSHES
from posts.notification_list import list_unread
from social.models import OutgoingPush, PushSubscription
from social.notifications.preferences import fetch_unwanted_as_push
from social.notifications.selectors import Entry
from social.push import delivery, outbox, vapid
from social.push.delivery import Answer, Message, Result
from social.push.endpoints import is_allowed
from social.push.outbox import queue

BATCH_SIZE = 16  # messages of one task, all at once: one that waits for its push service delays none of the others
TTL = timedelta(days=1)  # how long a message is retried, and kept for a browser that is offline


class _NotSent(Exception):
    """The message was not accepted. The text has no endpoint: it goes to the row."""


def send_due() -> None:
    """Send the messages that are due longest. Request the task again while others are due."""
    queue.task.begin_look()
    claimed = queue.claim_due(BATCH_SIZE)
    if len(claimed) == BATCH_SIZE and queue.has_due():
        queue.task.request()  # another worker, if there is one
    if claimed:
        sendable = _select_sendable(claimed)
        with ThreadPoolExecutor(max_workers=BATCH_SIZE) as threads:
            results = list(threads.map(delivery.send, sendable.values()))
        _record(list(zip(sendable, results, strict=True)))
    else:
        queue.count(Outcome.UNCLAIMED)
    outbox.delete_done()


def _select_sendable(claimed: Sequence[OutgoingPush]) -> dict[OutgoingPush, Message]:
    """Return what to send, and delete the rows of messages that are too old or no longer right."""
    expired = [push for push in claimed if timezone.now() - push.announced_at > TTL]
    current = [push for push in claimed if push not in expired]
    sendable = _build_messages(current) if vapid.is_on() else {}
    needless = [push for push in current if push not in sendable]
    if expired or needless:
        queue.delete([*expired, *needless])
    _count("expired", len(expired))
    _count("needless", len(needless))
    queue.count(Outcome.FINISHED, len(expired) + len(needless))
    return sendable


def _build_messages(claimed: Sequence[OutgoingPush]) -> dict[OutgoingPush, Message]:
    """Return the messages that are still right. Reads the unread notifications of each recipient once."""
    subscriptions = _live_subscriptions({push.subscription_id for push in claimed})
    pushes_of: dict[int, list[OutgoingPush]] = defaultdict(list)
    for push in claimed:
        if push.subscription_id in subscriptions:
            pushes_of[subscriptions[push.subscription_id].user_id].append(push)
    unwanted = fetch_unwanted_as_push(pushes_of.keys()) if pushes_of else set()
    messages = {}
    for user_id, pushes in pushes_of.items():
        unread = {entry.id: entry for entry in list_unread(user_id)}
        for push in pushes:
            entry = unread.get(push.notification_id)
            if entry is not None and (user_id, entry.kind) not in unwanted:
                subscription = subscriptions[push.subscription_id]
                messages[push] = _build_message(push, subscription, entry, len(unread))
    return messages


def _live_subscriptions(ids: set[int]) -> dict[int, PushSubscription]:
    """Return the subscriptions, by id, whose session and account are active."""
    rows = PushSubscription.objects.using(DEFAULT_DB_ALIAS).filter(
        pk__in=ids,
        session__ended_at__isnull=True,
        session__expires_at__gt=timezone.now(),
        session__user__is_active=True,
    )
    return {row.pk: row for row in rows if is_allowed(row.endpoint)}  # PUSH_SERVICES may have changed


def _build_message(push: OutgoingPush, subscription: PushSubscription, entry: Entry, unread: int) -> Message:
    # `id` changes when an actor joins the notification; `tag` does not, so that a browser replaces what it shows.
    content = {"kind": entry.kind, "id": str(entry.position), "tag": str(entry.id), "unread": unread}
    age = timezone.now() - push.announced_at
    return Message(subscription, compact_json.encode(content), topic=f"n{entry.id}", ttl=TTL - age)


def _record(results: Sequence[tuple[OutgoingPush, Result]]) -> None:
    """End the claims of the messages that were sent or can never be, and give the others back for later."""
    by_answer: dict[Answer, list[OutgoingPush]] = defaultdict(list)
    for push, result in results:
        by_answer[result.answer].append(push)
    if sent := by_answer[Answer.SENT]:
        queue.finish(*sent, attempts=0, due_at=now_plus(outbox.REPEAT_INTERVAL))
    gone, rejected = by_answer[Answer.GONE], by_answer[Answer.REJECTED]
    if gone:
        PushSubscription.objects.filter(pk__in={push.subscription_id for push in gone}).delete()
    if gone or rejected:
        queue.delete([*gone, *rejected])
    failed = 0
    for push, result in results:
        if result.answer in (Answer.THROTTLED, Answer.UNREACHABLE):
            queue.retry_later(push, _NotSent(result.detail), delay=result.retry_after)
            failed += 1
    for answer, count in Counter(result.answer for _, result in results).items():
        _count(answer, count)
    queue.count(Outcome.FINISHED, len(results) - failed)
    queue.count(Outcome.FAILED, failed)


def _count(outcome: str, number: int) -> None:
    if number:
        PUSHES.labels(outcome).inc(number)
