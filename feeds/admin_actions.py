"""The operator's action on fan-outs in the admin: resume them now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from accounts.models import User
from feeds import fanout_outbox
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState


@dataclass(frozen=True, slots=True)
class ResumeResult:
    """How many of the chosen fan-outs were dead letters, waiting, or left alone."""

    requeued: int  # dead letters
    waiting: int  # pending, or abandoned by a dead worker
    skipped: int  # done, or claimed by a live worker


@transaction.atomic
def resume_fan_outs(post_ids: Collection[int], operator: User) -> ResumeResult:
    """Requeue dead letters and end the retry delay of waiting fan-outs; each goes on from its checkpoint.

    Only dead letters leave an audit entry: a waiting fan-out is delivered anyway, a little later. If the broker is
    down, the workers continue once it is back.
    """
    # Locked in the order of ids, so that two operators cannot deadlock; workers skip locked rows.
    lockable = FanOut.objects.select_for_update(no_key=True).order_by("pk")
    dead_letters = list(lockable.filter(pk__in=post_ids, state=JobState.DEAD))
    unclaimed = fanout_outbox.queue.unclaimed().filter(pk__in=post_ids)
    waiting = list(unclaimed.order_by("pk").select_for_update(no_key=True))
    fanout_outbox.queue.requeue_dead_letters([fan_out.pk for fan_out in dead_letters])
    fanout_outbox.queue.make_due([fan_out.pk for fan_out in waiting])
    for fan_out in dead_letters:
        _record_requeue(fan_out, operator)
    fanout_outbox.queue.request_task_on_commit()
    skipped = len(set(post_ids)) - len(dead_letters) - len(waiting)
    return ResumeResult(len(dead_letters), len(waiting), skipped)


def _record_requeue(fan_out: FanOut, operator: User) -> None:
    audit.record(
        operator,
        "resume",
        "fan_out",
        fan_out.pk,
        user_id=fan_out.author_id,
        before={"state": JobState.DEAD.label},
        after={"state": JobState.PENDING.label},
    )
