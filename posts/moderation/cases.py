"""Lock and close cases in the transaction of a moderation action."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from accounts.audit import Changes
from accounts.models import User
from accounts.moderation import ActionRefused
from accounts.signals import account_sanctioned
from posts.models import Case, CaseClosing, CaseState, TargetType
from posts.reported_texts import read_text
from posts.services import Target


def lock_case(target: Target) -> Case | None:
    """Return the target's case, locked until the transaction ends. New reports wait.

    Lock the author's row before this one.
    """
    return Case.objects.select_for_update().filter(target_type=target.type, target_id=target.id).first()


def require_may_decide(actor: User, case: Case | None) -> None:
    """Raise ActionRefused if the case waits for a second opinion that the actor may not give."""
    is_escalated = case is not None and case.state == CaseState.OPEN and case.escalated_at is not None
    if is_escalated and not actor.has_perm("posts.decide_escalated_case"):
        raise ActionRefused("This case waits for the second opinion of a senior moderator.")


def close_case(case: Case | None, state: CaseState, actor: User, changes: Changes) -> None:
    """Close a locked case; do nothing if it is None or already closed.

    From now on only the present text is known: repeated reports about any other open the case again.
    """
    if case is None or case.state != CaseState.OPEN:
        return
    changes.add("case", CaseState.OPEN.label, state.label)
    now = timezone.now()
    CaseClosing.objects.create(opened_at=case.opened_at, closed_at=now, closed_by_id=actor.pk)
    case.state, case.closed_at, case.closed_by_id = state, now, actor.pk
    case.known_texts = [read_text(TargetType(case.target_type), case.target_id)]
    case.claimed_by_id = case.claimed_until = case.escalated_at = case.escalated_by_id = None
    case.save(
        update_fields=[
            *("state", "closed_at", "closed_by_id", "known_texts"),
            *("claimed_by_id", "claimed_until", "escalated_at", "escalated_by_id"),
        ]
    )


@receiver(account_sanctioned)
def close_case_on_account_sanctioned(actor: User, user_id: int, changes: Changes, **_: Any) -> None:
    """Close the account's own case when the account is suspended or signed out by a moderator.

    Raises ActionRefused if that case waits for a second opinion.
    """
    case = lock_case(Target(TargetType.USER, user_id, user_id))
    require_may_decide(actor, case)
    close_case(case, CaseState.ACTED, actor, changes)
