"""Handing out fan-outs again by an operator's word; each that was dead leaves an entry in the audit log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from accounts import audit
from accounts.models import User
from feeds import fanout_outbox, tasks
from feeds.models import FanOut, State
from instafeed.core.jobs import enqueue


@dataclass(frozen=True, slots=True)
class ResumeResult:
    requeued: int  # dead letters
    dispatched: int  # waiting, or lost by their worker
    skipped: int  # done, or in a living worker's hands


@transaction.atomic
def resume_fan_outs(post_ids: Collection[int], operator: User) -> ResumeResult:
    """Have workers take these fan-outs up now, from where they stopped. What is done or under way is left alone.

    What merely waits is changed in nothing by being handed out, and leaves no entry. Should the broker be away, the
    sweeper hands them out once it is back.
    """
    # In the order of their ids, so that two operators do not wait for each other; workers claim one by one.
    locked = FanOut.objects.select_for_update(no_key=True).order_by("pk")
    dead = list(locked.filter(pk__in=post_ids, state=State.DEAD))
    waiting = list(fanout_outbox.unclaimed().filter(pk__in=post_ids).order_by("pk").select_for_update(no_key=True))
    fanout_outbox.requeue_dead_letters([fan_out.pk for fan_out in dead])
    before, after = {"state": State.DEAD.label}, {"state": State.PENDING.label}
    for fan_out in dead:
        author_id = fan_out.author_id
        audit.record(operator, "resume", "fan_out", fan_out.pk, user_id=author_id, before=before, after=after)
    for fan_out in (*dead, *waiting):
        transaction.on_commit(partial(enqueue.try_enqueue, tasks.deliver_post, fan_out.pk), robust=True)
    return ResumeResult(len(dead), len(waiting), len(set(post_ids)) - len(dead) - len(waiting))
