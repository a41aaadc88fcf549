"""Claims: which moderator has an open case on the screen, so that two do not work on the same one.

A claim lasts `CLAIM_DURATION` and is renewed while the page is visible. It is only a hint: actions do not need it, they
compare and set. Neither opening a case nor the next case waits for the locks of an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from posts.models import Case, CaseState

CLAIM_DURATION = timedelta(minutes=5)

# Raw SQL: Django's update cannot skip locked rows. Waiting for them could end in a deadlock, as this locks two cases.
_CLAIM_SQL = """
UPDATE posts_case SET
    claimed_by_id = CASE WHEN id = %(case)s AND state = %(open)s THEN %(moderator)s END,
    claimed_until = CASE WHEN id = %(case)s AND state = %(open)s THEN %(until)s END
WHERE id IN (
    SELECT id FROM posts_case
    WHERE claimed_by_id = %(moderator)s OR (
        id = %(case)s AND state = %(open)s AND (escalated_at IS NULL OR %(may_decide_escalated)s)
        AND (claimed_by_id IS NULL OR claimed_until <= statement_timestamp())
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
"""


def claim(case_id: int, moderator_id: int, *, may_decide_escalated: bool = True) -> None:
    """Claim a case if it is open and no other moderator has it. Release the moderator's other cases.

    A case that waits for a second opinion is claimed only by those who may give it.
    """
    parameters: dict[str, Any] = {
        "case": case_id,
        "moderator": moderator_id,
        "until": timezone.now() + CLAIM_DURATION,
        "open": CaseState.OPEN,
        "may_decide_escalated": may_decide_escalated,
    }
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_CLAIM_SQL, parameters)


def claim_first(queues: Sequence[QuerySet[Case]], moderator_id: int) -> Case | None:
    """Claim the first case that no other moderator has, and release the moderator's other cases.

    Looks through the querysets one after the other. Two moderators at once never get the same case. A closed case is
    returned without a claim. Return None if there is no case.
    """
    case = None
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        for queue in queues:
            free = queue.using(DEFAULT_DB_ALIAS).filter(is_free_for(moderator_id) | ~Q(state=CaseState.OPEN))
            case = free.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
            if case is not None:
                break
        claim(case.pk if case else 0, moderator_id)  # no case has the id 0
    return case


def renew(case_id: int, moderator_id: int, *, may_decide_escalated: bool = True) -> datetime | None:
    """Extend the moderator's claim and return its new end; None if the case is closed or another moderator has it."""
    until = timezone.now() + CLAIM_DURATION
    cases = Case.objects.filter(is_free_for(moderator_id), pk=case_id, state=CaseState.OPEN)
    if not may_decide_escalated:
        cases = cases.filter(escalated_at=None)
    return until if cases.update(claimed_by_id=moderator_id, claimed_until=until) else None


def release(case_id: int, moderator_id: int, until: datetime) -> bool:
    """End the claim that lasts until that time.

    A page that is being left releases what it has claimed. If the moderator opens the case again at once, the claim
    has another end and stays.
    """
    claimed = Case.objects.filter(pk=case_id, claimed_by_id=moderator_id, claimed_until=until)
    return bool(claimed.update(claimed_by_id=None, claimed_until=None))


def is_free_for(moderator_id: int) -> Q:
    """Return the condition that no other moderator has the case."""
    return Q(claimed_by_id=None) | Q(claimed_by_id=moderator_id) | Q(claimed_until__lte=Now())
