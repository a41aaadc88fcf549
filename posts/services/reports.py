"""File reports with the moderators."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models.functions import Now

from accounts.models import Reason
from accounts.policies import get_severity
from posts.models import CaseState, Report, TargetType
from posts.reported_texts import read_text
from posts.services.row_locks import lock_account, lock_comment, lock_post

MAX_REPORTED_TEXTS = 10  # of a case: the first and the newest ones. Others could flush the first by many edits.

# Raw SQL: the ORM's upsert cannot add to existing values. A report reopens a closed case. A repeated report changes
# nothing unless the text is new to the moderators.
_ADD_TO_CASE_SQL = """
INSERT INTO posts_case (
    target_type, target_id, user_id, report_count, reason_counts, reported_texts, known_texts, severity,
    first_reported_at, last_reported_at, opened_at
)
VALUES (
    %(type)s, %(id)s, %(user)s, 1, jsonb_build_object(%(reason)s::text, 1), ARRAY[%(text)s], ARRAY[%(text)s],
    %(severity)s, statement_timestamp(), statement_timestamp(), statement_timestamp()
)
ON CONFLICT (target_type, target_id) DO UPDATE SET
    report_count = posts_case.report_count + 1,
    reason_counts = posts_case.reason_counts || jsonb_build_object(
        %(reason)s::text, coalesce((posts_case.reason_counts ->> %(reason)s)::int, 0) + 1
    ),
    reported_texts = CASE WHEN %(text)s = ANY(posts_case.reported_texts) THEN posts_case.reported_texts
        ELSE posts_case.reported_texts[:1] || posts_case.reported_texts[
            greatest(cardinality(posts_case.reported_texts) + 3 - %(max_texts)s, 2):
        ] || EXCLUDED.reported_texts END,
    known_texts = CASE WHEN %(text)s = ANY(posts_case.known_texts) THEN posts_case.known_texts
        ELSE posts_case.known_texts[
            greatest(cardinality(posts_case.known_texts) + 2 - %(max_texts)s, 1):
        ] || EXCLUDED.known_texts END,
    severity = CASE WHEN posts_case.state = %(open)s THEN greatest(posts_case.severity, EXCLUDED.severity)
                    ELSE EXCLUDED.severity END,
    opened_at = CASE WHEN posts_case.state = %(open)s THEN posts_case.opened_at ELSE EXCLUDED.opened_at END,
    last_reported_at = statement_timestamp(), state = %(open)s, closed_at = NULL, closed_by_id = NULL
WHERE %(is_new)s OR NOT %(text)s = ANY(posts_case.known_texts)
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A reported post, comment or account, and its author's id (the account's own id for an account)."""

    type: TargetType
    id: int
    user_id: int


@transaction.atomic
def file_report(reporter_id: int, target: Target, reason: Reason, note: str) -> tuple[Report, bool]:
    """Return the user's report of a target that they can see, and whether it is new.

    Repeating a report changes nothing, unless the target has a text that is new to the moderators: then it counts
    again, and the report gets the new reason, note and text. Otherwise an author could edit a post after the dismissal
    of its reports. After the case was closed, only the text at that time is known: an author could also go back to an
    earlier one.

    Raises Http404 if the target is deleted or hidden, or its author deleted, meanwhile: no case may outlive its target.
    """
    text = read_text(target.type, target.id)
    report, is_new = Report.objects.get_or_create(
        reporter_id=reporter_id,
        target_type=target.type,
        target_id=target.id,
        defaults={"reason": reason, "note": note, "text": text},
    )
    lock_account(target.user_id)
    is_counted = _add_to_case(target, reason, text, is_new=is_new)
    # Lock the target after the case: moderation actions lock in the same order.
    if target.type == TargetType.POST:
        lock_post(target.id)
    elif target.type == TargetType.COMMENT:
        lock_comment(target.id)
    if is_counted and not is_new:
        Report.objects.filter(pk=report.pk).update(reason=reason, note=note, text=text, created_at=Now())
        report.refresh_from_db()
    return report, is_new


def _add_to_case(target: Target, reason: Reason, text: str, *, is_new: bool) -> bool:
    """Add a report to the case of its target. Return False if it is a repeated one about a known text."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            _ADD_TO_CASE_SQL,
            {
                "type": target.type,
                "id": target.id,
                "user": target.user_id,
                "reason": reason,
                "severity": get_severity(reason),
                "text": text,
                "max_texts": MAX_REPORTED_TEXTS,
                "open": CaseState.OPEN,
                "is_new": is_new,
            },
        )
        return cursor.rowcount == 1
