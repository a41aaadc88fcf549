"""Leased jobs, as tests need them: choose the job that a worker takes next, end waiting times, lose tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

import redis
from django.db.models.functions import Now

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.jobs.leased import UNFINISHED, JobState, LeasedJob, LeasedQueue, now_plus
from instafeed.core.jobs.turns import Turn

JobT = TypeVar("JobT", bound=LeasedJob)


def claim_job(queue: LeasedQueue[JobT], model: type[JobT], pk: int) -> JobT | None:
    """Claim this job, if it is due, before all others."""
    if not make_first(model, pk):
        return None
    claimed = queue.claim_due(1)
    return claimed[0] if claimed else None


def make_first(model: type[LeasedJob], pk: int) -> bool:
    """Let the next claim take this job. Return False if the job is not due, or gone."""
    due = model._default_manager.filter(pk=pk, state__in=UNFINISHED, due_at__lte=Now())
    first = {"turn": 0} if issubclass(model, Turn) else {}
    return bool(due.update(due_at=now_plus(timedelta(days=-1)), **first))


def make_due(model: type[LeasedJob], pk: int) -> None:
    """End the lease or the retry delay of a job."""
    model._default_manager.filter(pk=pk).exclude(state=JobState.DEAD).update(due_at=now_plus(timedelta(seconds=-1)))


def lose_tasks(redis_broker: redis.Redis) -> None:
    """Lose all tasks, and let enough time pass that they are requested again."""
    redis_broker.flushdb()
    for mark in get_client().scan_iter(keys.look_coming("*")):
        get_client().delete(mark)
