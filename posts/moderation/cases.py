"""Lock and close cases in the transaction of a moderation action."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from accounts.audit import Changes
from accounts.models import User
from accounts.signals import account_sanctioned
from posts.models import Case, CaseState, TargetType
from posts.reported_texts import read_text
from posts.services import Target


def lock_case(target: Target) -> Case | None:
    """Return the target's case, locked until the transaction ends. New reports wait.

    Lock the author's row before this one.
    """
    return Case.objects.select_for_update().filter(target_type=target.type, target_id=target.id).first()


def close_case(case: Case | None, state: CaseState, actor: User, changes: Changes) -> None:
    """Close a locked case; do nothing if it is None or already closed.

    From now on only the present text is known: repeated reports about any other open the case again.
    """
    if case is None or case.state != CaseState.OPEN:
        return
    changes.add("case", CaseState.OPEN.label, state.label)
    case.state, case.closed_at, case.closed_by_id = state, timezone.now(), actor.pk
    case.known_texts = [read_text(TargetType(case.target_type), case.target_id)]
    case.save(update_fields=["state", "closed_at", "closed_by_id", "known_texts"])


@receiver(account_sanctioned)
def close_case_on_account_sanctioned(actor: User, user_id: int, changes: Changes, **_: Any) -> None:
    """Close the account's own case when the account is suspended or signed out by a moderator."""
    close_case(lock_case(Target(TargetType.USER, user_id, user_id)), CaseState.ACTED, actor, changes)
