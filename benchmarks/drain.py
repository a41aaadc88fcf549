"""Wait until the workers have done what the requests before left to them, and tell how long posts took."""

from __future__ import annotations

from django.db.models import F, QuerySet

from benchmarks.harness import wait_for
from feeds import fanout_outbox
from feeds.models import FanOut
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import UNFINISHED
from social.models import NotificationEvent
from social.notifications.outbox import consumer_task

POLL_INTERVAL = 0.05  # seconds; each poll is a query, which counts as CPU time of PostgreSQL
TIMEOUT = 120.0  # seconds


def wait_for_fan_outs() -> None:
    """Wait until all posts are delivered, and the task that delivered them has ended."""
    unfinished = FanOut.objects.filter(state__in=UNFINISHED)
    wait_for(lambda: not unfinished.exists(), timeout=TIMEOUT, every=POLL_INTERVAL, what="the delivery of posts")
    _wait_for_task(fanout_outbox.queue.task)


def wait_for_notifications() -> None:
    """Wait until all notifications are stored, and the task that stored them has ended."""
    pending = NotificationEvent.objects.filter(failed_at=None)
    wait_for(lambda: not pending.exists(), timeout=TIMEOUT, every=POLL_INTERVAL, what="storing notifications")
    _wait_for_task(consumer_task)


def delivery_delays(fan_outs: QuerySet[FanOut]) -> list[float]:
    """Return the milliseconds from the creation of each post to the end of its fan-out, by the database's clock."""
    finished = fan_outs.filter(finished_at__isnull=False).annotate(delay=F("finished_at") - F("created_at"))
    return [delay.total_seconds() * 1000 for delay in finished.values_list("delay", flat=True)]


def _wait_for_task(task: CoalescedTask) -> None:
    wait_for(lambda: not task.is_look_coming(), timeout=TIMEOUT, every=POLL_INTERVAL, what="the end of a task")
