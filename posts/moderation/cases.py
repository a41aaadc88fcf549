"""Cases: looked at under a lock, closed together with what was decided."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from accounts.audit import Changes
from accounts.models import User
from accounts.signals import account_sanctioned
from posts.models import Case, CaseState, TargetType
from posts.services import Target


def lock_case(target: Target) -> Case | None:
    """The target's case, locked until the end of the transaction; reports of it wait. After the author's row."""
    return Case.objects.select_for_update().filter(target_type=target.type, target_id=target.id).first()


def close_case(case: Case | None, state: CaseState, actor: User, changes: Changes) -> None:
    """Close a case that the transaction has locked; nothing if there is none, or it is closed."""
    if case is None or case.state != CaseState.OPEN:
        return
    changes.add("case", CaseState.OPEN.label, state.label)
    case.state, case.closed_at, case.closed_by_id = state, timezone.now(), actor.pk
    case.save(update_fields=["state", "closed_at", "closed_by_id"])


@receiver(account_sanctioned)
def close_case_on_account_sanctioned(actor: User, user_id: int, changes: Changes, **_: Any) -> None:
    """What was reported is the account itself."""
    close_case(lock_case(Target(TargetType.USER, user_id, user_id)), CaseState.ACTED, actor, changes)
