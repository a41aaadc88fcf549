"""The operator jobs on the dashboard: unfinished ones, those that ended recently, and links that start one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser
from django.db import DEFAULT_DB_ALIAS
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from instafeed.backoffice.jobs.kinds import KINDS
from instafeed.backoffice.jobs.view import JobView
from instafeed.backoffice.models import OperatorJob
from instafeed.core.admin.urls import change_url, changelist_url, url_name
from instafeed.core.jobs.leased import UNFINISHED

RECENT = timedelta(days=7)
MAX_ENDED_JOBS = 3


@dataclass(frozen=True, slots=True)
class JobLink:
    url: str
    view: JobView


@dataclass(frozen=True, slots=True)
class JobsPanel:
    jobs: Sequence[JobLink]  # unfinished ones first, then the ended ones, each newest first
    kinds: Sequence[tuple[str, str]]  # (label, URL of the form) of each kind that the user may start
    list_url: str


def build_panel(user: User | AnonymousUser) -> JobsPanel | None:
    """Return the panel, at two queries, or None if the user may not view jobs."""
    if not user.has_perm("backoffice.view_operatorjob"):
        return None
    rows = OperatorJob.objects.using(DEFAULT_DB_ALIAS).select_related("task_result").defer("log", "checkpoint")
    # At most one for each kind.
    unfinished = rows.filter(state__in=UNFINISHED).order_by("-pk")
    ended = rows.filter(ended_at__gte=timezone.now() - RECENT).order_by("-ended_at")[:MAX_ENDED_JOBS]
    start = f"admin:{url_name(OperatorJob, 'start')}"
    kinds = KINDS if user.has_perm("backoffice.run_operatorjob") else {}
    return JobsPanel(
        jobs=[JobLink(change_url(OperatorJob, job.pk), JobView(job)) for job in (*unfinished, *ended)],
        kinds=[(kind.label, reverse(start, args=[name])) for name, kind in kinds.items()],
        list_url=changelist_url(OperatorJob),
    )
