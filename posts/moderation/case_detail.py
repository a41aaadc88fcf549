"""Details of a case for its page: reports, counts, other cases and audit entries of the author.

Each list is bounded, and loading takes a fixed number of queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS

from accounts.follower_counts import FollowerCounts as Followers
from accounts.follower_counts import get_exact_counts
from accounts.models import AuditEntry
from posts import counters
from posts.counters import Counts
from posts.models import Case, CaseState, Report
from posts.moderation.targets import TargetSnapshot
from posts.services import Target

MAX_SHOWN_REPORTS = 100  # the newest ones
MAX_SHOWN_CASES = 10
MAX_SHOWN_ENTRIES = 10


@dataclass(frozen=True)
class CaseDetail:
    followers: Followers | None  # of the author; None once the account is erased
    counts: Counts | None  # of a post or comment that exists
    reports: Sequence[Report]
    earlier_texts: Sequence[str]  # reported texts that have been changed since, newest first
    cases: Sequence[Case]  # other cases of the author
    entries: Sequence[AuditEntry]  # moderation of the author and their content


def load_case_detail(snapshot: TargetSnapshot) -> CaseDetail:
    """Load the details of one target from the primary."""
    case, target = snapshot.case, snapshot.target
    reports = _load_reports(target) if case is not None else []
    entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS).filter(user_id=target.user_id)
    return CaseDetail(
        followers=get_exact_counts(snapshot.author) if snapshot.author else None,
        counts=counters.fetch_subject_counts(target.id) if snapshot.is_content else None,
        reports=reports,
        earlier_texts=_list_earlier_texts(case, reports, snapshot.text) if case is not None else [],
        cases=_load_other_cases(target),
        entries=list(entries.order_by("-pk")[:MAX_SHOWN_ENTRIES]),
    )


def get_next_open_case(but: int) -> Case | None:
    """Return the first open case of the queue except case `but`."""
    cases = Case.objects.using(DEFAULT_DB_ALIAS).filter(state=CaseState.OPEN).exclude(pk=but)
    return cases.order_by("-report_count", "pk").first()


def _load_reports(target: Target) -> list[Report]:
    reports = Report.objects.using(DEFAULT_DB_ALIAS).filter(target_type=target.type, target_id=target.id)
    return list(reports.select_related("reporter").order_by("-pk")[:MAX_SHOWN_REPORTS])


def _list_earlier_texts(case: Case, reports: Sequence[Report], current: str) -> list[str]:
    """Return the distinct texts that the case and the reports keep, except the present one."""
    reported = dict.fromkeys([*reversed(case.reported_texts), *(report.text for report in reports)])
    return [text for text in reported if text != current]


def _load_other_cases(target: Target) -> list[Case]:
    cases = Case.objects.using(DEFAULT_DB_ALIAS).filter(user_id=target.user_id)
    return list(cases.exclude(target_type=target.type, target_id=target.id).order_by("-pk")[:MAX_SHOWN_CASES])
