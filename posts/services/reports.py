"""File reports with the moderators."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from posts.models import CaseState, Reason, Report, TargetType
from posts.services.row_locks import lock_account, lock_comment, lock_post

# Raw SQL: the ORM's upsert cannot add to existing values. A new report reopens a closed case.
_ADD_TO_CASE_SQL = """
INSERT INTO posts_case (target_type, target_id, user_id, report_count, reasons, first_reported_at, last_reported_at)
VALUES (%(type)s, %(id)s, %(user)s, 1, ARRAY[%(reason)s], statement_timestamp(), statement_timestamp())
ON CONFLICT (target_type, target_id) DO UPDATE SET
    report_count = posts_case.report_count + 1,
    reasons = CASE WHEN %(reason)s = ANY(posts_case.reasons) THEN posts_case.reasons
                   ELSE posts_case.reasons || EXCLUDED.reasons END,
    last_reported_at = statement_timestamp(), state = %(open)s, closed_at = NULL, closed_by_id = NULL
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A reported post, comment or account, and its author's id (the account's own id for an account)."""

    type: TargetType
    id: int
    user_id: int


@transaction.atomic
def file_report(reporter_id: int, target: Target, reason: Reason, note: str) -> tuple[Report, bool]:
    """Return the user's report of a target that they can see, and whether it is new. Repeating it changes nothing.

    Raises Http404 if the target is deleted or hidden, or its author deleted, meanwhile: no case may outlive its target.
    """
    report, is_new = Report.objects.get_or_create(
        reporter_id=reporter_id,
        target_type=target.type,
        target_id=target.id,
        defaults={"reason": reason, "note": note},
    )
    if is_new:
        lock_account(target.user_id)
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(
                _ADD_TO_CASE_SQL,
                {
                    "type": target.type,
                    "id": target.id,
                    "user": target.user_id,
                    "reason": reason,
                    "open": CaseState.OPEN,
                },
            )
        # Lock the target after the case: moderation actions lock in the same order.
        if target.type == TargetType.POST:
            lock_post(target.id)
        elif target.type == TargetType.COMMENT:
            lock_comment(target.id)
    return report, is_new
