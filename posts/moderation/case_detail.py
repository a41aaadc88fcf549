"""Details of a case for its page: reports with the reporters' records, the author's record, texts and discussion.

Each list is bounded, and loading takes a fixed number of queries. A page has a budget of 15, so some queries return
rows of two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django.contrib.postgres.fields import ArrayField
from django.db import DEFAULT_DB_ALIAS
from django.db.models import BigIntegerField, Count, F, Q, QuerySet, TextField, Value, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from accounts.audit_targets import with_target_names
from accounts.follower_counts import FollowerCounts as Followers
from accounts.follower_counts import get_exact_counts
from accounts.models import AuditEntry
from posts.models import Case, CaseState, Comment, Note, Report
from posts.moderation.history import ModerationHistory
from posts.moderation.targets import TargetSnapshot
from posts.moderation.text_changes import TextChange, compare_texts
from posts.services import Target

MAX_SHOWN_REPORTS = 100  # the newest ones
MAX_SHOWN_CASES = 10
MAX_SHOWN_NOTES = 10
MAX_SHOWN_ENTRIES = 10
MAX_COMPARED_TEXTS = 10  # older ones are shown without the differences
MAX_COUNTED_REPORTS = 50  # of a reporter, the newest ones: a user may have filed 100,000
NEIGHBOURS = 2  # comments on each side

# Raw SQL: the ORM cannot count the rows of a sliced subquery.
_REPORTER_RECORD_SQL = """(
    SELECT ARRAY[count(*), count(*) FILTER (WHERE posts_case.state = %s)]
    FROM (
        SELECT filed.target_type, filed.target_id FROM posts_report AS filed
        WHERE filed.reporter_id = posts_report.reporter_id ORDER BY filed.id DESC LIMIT %s
    ) AS newest
    LEFT JOIN posts_case USING (target_type, target_id)
)"""


@dataclass(frozen=True)
class AuthorRecord:
    """What moderators have done about the author and their content so far."""

    warnings: int = 0
    suspensions: int = 0
    hidden: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class RelatedRow:
    """Another case of the author, or a moderator's note about the author or their content."""

    kind: str  # "case" or "note"
    pk: int
    target_type: str
    target_id: int
    number: int  # of a case: its reports
    state: int  # of a case
    at: datetime
    author_name: str
    text: str

    @property
    def state_label(self) -> str:
        return CaseState(self.state).label


@dataclass(frozen=True)
class CaseDetail:
    followers: Followers | None  # of the author; None once the account is erased
    record: AuthorRecord
    history: ModerationHistory  # of the target
    reports: Sequence[tuple[Report, str]]  # with the record of the reporter
    earlier_texts: Sequence[str]  # reported texts that have been changed since, newest first
    cases: Sequence[RelatedRow]  # other cases of the author
    notes: Sequence[RelatedRow]
    entries: Sequence[AuditEntry]  # moderation of the author and their content
    thread: Sequence[Comment] = ()  # a reported comment with its neighbours, in order
    parent: Comment | None = None  # the comment that a reported comment replies to
    current_text: str = ""
    text_changes: Sequence[TextChange] = field(default=())

    @property
    def older_texts(self) -> Sequence[str]:
        """The reported texts that are shown without the differences."""
        return self.earlier_texts[len(self.text_changes) :]


def load_case_detail(snapshot: TargetSnapshot) -> CaseDetail:
    """Load the details of one target from the primary."""
    case, target = snapshot.case, snapshot.target
    reports = _load_reports(target) if case is not None else []
    earlier_texts = _list_earlier_texts(case, reports, snapshot.text) if case is not None else []
    cases, notes = _load_cases_and_notes(target)
    entries = _load_entries(target)
    totals: Any = entries[0] if entries else None
    thread, parent = _load_thread(snapshot.comment) if snapshot.comment is not None else ([], None)
    return CaseDetail(
        followers=get_exact_counts(snapshot.author) if snapshot.author else None,
        record=AuthorRecord(totals.warnings, totals.suspensions, totals.hidden, totals.deleted)
        if totals
        else AuthorRecord(),
        history=ModerationHistory.from_counts(
            target, totals.target_warnings if totals else 0, totals.suspensions if totals else 0
        ),
        reports=reports,
        earlier_texts=earlier_texts,
        cases=cases,
        notes=notes,
        entries=entries,
        thread=thread,
        parent=parent,
        current_text=snapshot.text,
        text_changes=[compare_texts(text, snapshot.text) for text in earlier_texts[:MAX_COMPARED_TEXTS]],
    )


def with_reporter_records(reports: QuerySet[Report]) -> QuerySet[Report]:
    """Annotate reports with how many the reporter has filed, and how many of these cases were dismissed.

    Only the newest `MAX_COUNTED_REPORTS` of each reporter count.
    """
    record = RawSQL(  # noqa: S611 (constant)
        _REPORTER_RECORD_SQL,
        (CaseState.DISMISSED, MAX_COUNTED_REPORTS),
        output_field=ArrayField(BigIntegerField()),
    )
    return reports.annotate(reporter_record=record)


def describe_reporter(report: Report) -> str:
    """Return the record of a report's reporter, such as "5 filed, 4 dismissed"."""
    filed, dismissed = cast(Any, report).reporter_record
    return f"{filed}{'+' if filed == MAX_COUNTED_REPORTS else ''} filed, {dismissed} dismissed"


def _load_reports(target: Target) -> list[tuple[Report, str]]:
    reports = Report.objects.using(DEFAULT_DB_ALIAS).filter(target_type=target.type, target_id=target.id)
    newest = with_reporter_records(reports).select_related("reporter").order_by("-pk")[:MAX_SHOWN_REPORTS]
    return [(report, describe_reporter(report)) for report in newest]


def _list_earlier_texts(case: Case, reports: Sequence[tuple[Report, str]], current: str) -> list[str]:
    """Return the distinct texts that the case and the reports keep, except the present one."""
    reported = dict.fromkeys([*reversed(case.reported_texts), *(report.text for report, _ in reports)])
    return [text for text in reported if text != current]


def _load_entries(target: Target) -> list[AuditEntry]:
    """Return the newest entries about the author, each with the totals of all of them."""

    def total(**conditions: Any) -> Window:
        return Window(Count("pk", filter=Q(**conditions)))

    entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS).filter(user_id=target.user_id)
    with_totals = with_target_names(entries).annotate(
        warnings=total(action="warn"),
        suspensions=total(action="suspend"),
        hidden=total(action="hide"),
        deleted=total(action="delete"),
        target_warnings=total(action="warn", target_type=target.type, target_id=target.id),
    )
    return list(with_totals.order_by("-pk")[:MAX_SHOWN_ENTRIES])


def _load_cases_and_notes(target: Target) -> tuple[list[RelatedRow], list[RelatedRow]]:
    """Return the newest other cases of the author, and the newest notes about the author and their content."""
    cases = Case.objects.using(DEFAULT_DB_ALIAS).filter(user_id=target.user_id)
    others = cases.exclude(target_type=target.type, target_id=target.id).order_by("-pk")[:MAX_SHOWN_CASES]
    notes = Note.objects.using(DEFAULT_DB_ALIAS).filter(user_id=target.user_id).order_by("-pk")[:MAX_SHOWN_NOTES]
    empty = Cast(Value(""), TextField())
    case_rows = others.values_list(
        *(Value("case"), "pk", "target_type", "target_id", Cast("report_count", BigIntegerField())),
        *(Cast("state", BigIntegerField()), "opened_at", empty, empty),
    )
    zero = Cast(Value(0), BigIntegerField())
    note_rows = notes.values_list(
        *(Value("note"), "pk", "target_type", "target_id", zero, zero, "created_at"),
        *(Cast("author_name", TextField()), F("text")),
    )
    rows = [RelatedRow(*row) for row in case_rows.union(note_rows, all=True)]
    return [row for row in rows if row.kind == "case"], [row for row in rows if row.kind == "note"]


def _load_thread(comment: Comment) -> tuple[list[Comment], Comment | None]:
    """Return the comment between its neighbours, and the comment that it replies to."""
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).select_related("author")
    on_post = comments.filter(post=comment.post_id)
    before = on_post.filter(pk__lt=comment.pk).order_by("-pk")[:NEIGHBOURS]
    after = on_post.filter(pk__gte=comment.pk).order_by("pk")[: NEIGHBOURS + 1]
    parents = comments.filter(pk=comment.reply_to_id or 0)
    found = {each.pk: each for each in before.union(after, parents)}
    parent = found.get(comment.reply_to_id or 0)
    nearest = sorted(pk for pk in found if pk < comment.pk)[-NEIGHBOURS:]
    return [found[pk] for pk in sorted(found) if pk >= comment.pk or pk in nearest], parent
