"""File reports with the moderators."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models.functions import Now

from accounts.models import User
from posts.models import CaseState, Comment, Post, Reason, Report, TargetType
from posts.services.row_locks import lock_account, lock_comment, lock_post

MAX_REPORTED_TEXTS = 10  # the newest ones, of a case

# Raw SQL: the ORM's upsert cannot add to existing values. A report reopens a closed case. A repeated report changes
# nothing unless the text is new to the moderators.
_ADD_TO_CASE_SQL = """
INSERT INTO posts_case (
    target_type, target_id, user_id, report_count, reasons, reported_texts, first_reported_at, last_reported_at
)
VALUES (
    %(type)s, %(id)s, %(user)s, 1, ARRAY[%(reason)s], ARRAY[%(text)s], statement_timestamp(), statement_timestamp()
)
ON CONFLICT (target_type, target_id) DO UPDATE SET
    report_count = posts_case.report_count + 1,
    reasons = CASE WHEN %(reason)s = ANY(posts_case.reasons) THEN posts_case.reasons
                   ELSE posts_case.reasons || EXCLUDED.reasons END,
    reported_texts = CASE WHEN %(text)s = ANY(posts_case.reported_texts) THEN posts_case.reported_texts
        ELSE (posts_case.reported_texts || EXCLUDED.reported_texts)[
            greatest(cardinality(posts_case.reported_texts) + 2 - %(max_texts)s, 1):
        ] END,
    last_reported_at = statement_timestamp(), state = %(open)s, closed_at = NULL, closed_by_id = NULL
WHERE %(is_new)s OR NOT %(text)s = ANY(posts_case.reported_texts)
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

    Repeating a report changes nothing, unless the target has a text that no report was about: then it counts again, and
    the report gets the new reason and note. Otherwise an author could edit a post after the dismissal of its reports.

    Raises Http404 if the target is deleted or hidden, or its author deleted, meanwhile: no case may outlive its target.
    """
    report, is_new = Report.objects.get_or_create(
        reporter_id=reporter_id,
        target_type=target.type,
        target_id=target.id,
        defaults={"reason": reason, "note": note},
    )
    lock_account(target.user_id)
    is_counted = _add_to_case(target, reason, _read_text(target), is_new=is_new)
    # Lock the target after the case: moderation actions lock in the same order.
    if target.type == TargetType.POST:
        lock_post(target.id)
    elif target.type == TargetType.COMMENT:
        lock_comment(target.id)
    if is_counted and not is_new:
        Report.objects.filter(pk=report.pk).update(reason=reason, note=note, created_at=Now())
        report.refresh_from_db()
    return report, is_new


def get_profile_text(user: User) -> str:
    """Return the text of a reported account: its display name and bio."""
    return "\n\n".join(filter(None, (user.display_name, user.bio)))


def _read_text(target: Target) -> str:
    """Return the text of the target as it is now; an empty one if it is deleted."""
    if target.type == TargetType.USER:
        user = User.objects.filter(pk=target.id).first()
        return get_profile_text(user) if user else ""
    if target.type == TargetType.POST:
        return Post.objects.filter(pk=target.id).values_list("caption", flat=True).first() or ""
    return Comment.objects.filter(pk=target.id).values_list("text", flat=True).first() or ""


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
                "text": text,
                "max_texts": MAX_REPORTED_TEXTS,
                "open": CaseState.OPEN,
                "is_new": is_new,
            },
        )
        return cursor.rowcount == 1
