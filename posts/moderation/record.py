"""What was done before about the targets of a page: counted when first asked for, in one query for all of them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from django.db.models import Count

from accounts.models import AuditEntry
from posts.services import Target

COUNTED = ("warn", "suspend")  # acts that may be done again, by whoever knows of the last time


class Record:
    def __init__(self, targets: Collection[Target]) -> None:
        self._user_ids = {target.user_id for target in targets}

    def times_warned(self, target: Target) -> int:
        """How often the author was told something about this."""
        return self._counts.get(("warn", str(target.type), target.id), 0)

    def times_suspended(self, target: Target) -> int:
        """How often the author was suspended, whatever for."""
        return self._counts.get(("suspend", "user", target.user_id), 0)

    @cached_property
    def _counts(self) -> dict[tuple[str, str, int], int]:
        entries = AuditEntry.objects.filter(user_id__in=self._user_ids, action__in=COUNTED)
        rows = entries.values_list("action", "target_type", "target_id").annotate(Count("pk"))
        return {(action, target_type, target_id): count for action, target_type, target_id, count in rows}
