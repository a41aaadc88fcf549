"""What else a moderator wants to know before deciding: the author, their record, the reports, the counts.

Bounded, and in a fixed number of queries, however much there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet

from accounts.follower_counts import FollowerCounts as Followers
from accounts.follower_counts import get_exact_counts
from accounts.models import AuditEntry
from posts import counters
from posts.counters import Counts
from posts.models import Case, CaseState, Report
from posts.moderation.targets import TargetSnapshot
from posts.services import Target

MAX_SHOWN_REPORTS = 100  # the newest of them are shown
MAX_SHOWN_CASES = 10
MAX_SHOWN_ENTRIES = 10


@dataclass(frozen=True)
class CaseDetail:
    sight: TargetSnapshot
    followers: Followers | None  # of the author; None once the account is erased
    counts: Counts | None  # of a post or comment that is there
    reports: Sequence[Report]
    cases: Sequence[Case]  # the author's, others than this
    entries: Sequence[AuditEntry]  # what was done to the author and what they wrote


def load_case_detail(sight: TargetSnapshot) -> CaseDetail:
    """All about one target, from the primary."""
    case, target = sight.case, sight.target
    return CaseDetail(
        sight=sight,
        followers=get_exact_counts(sight.author) if sight.author else None,
        counts=counters.fetch_subject_counts(target.id) if sight.is_content else None,
        reports=_load_reports(target) if case is not None else [],
        cases=_load_other_cases(target),
        entries=list(_audit_entries().filter(user_id=target.user_id).order_by("-pk")[:MAX_SHOWN_ENTRIES]),
    )


def get_next_open_case(but: int) -> Case | None:
    """The first case of the queue but this one."""
    cases = Case.objects.using(DEFAULT_DB_ALIAS).filter(state=CaseState.OPEN).exclude(pk=but)
    return cases.order_by("-report_count", "pk").first()


def _audit_entries() -> QuerySet[AuditEntry]:
    return AuditEntry.objects.using(DEFAULT_DB_ALIAS)


def _load_reports(target: Target) -> list[Report]:
    reports = Report.objects.using(DEFAULT_DB_ALIAS).filter(target_type=target.type, target_id=target.id)
    return list(reports.select_related("reporter").order_by("-pk")[:MAX_SHOWN_REPORTS])


def _load_other_cases(target: Target) -> list[Case]:
    cases = Case.objects.using(DEFAULT_DB_ALIAS).filter(user_id=target.user_id)
    return list(cases.exclude(target_type=target.type, target_id=target.id).order_by("-pk")[:MAX_SHOWN_CASES])
