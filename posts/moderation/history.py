"""How often targets were warned about and their authors suspended before."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count

from accounts import moderation
from accounts.models import AuditEntry
from posts.services import Target


class ModerationHistory:
    """Earlier warnings and suspensions, counted for all targets of a page with one query each on first use."""

    def __init__(self, targets: Collection[Target]) -> None:
        self._user_ids = {target.user_id for target in targets}

    @classmethod
    def from_counts(cls, target: Target, warnings: int, suspensions: int) -> ModerationHistory:
        """Return the history of one target whose counts are known."""
        history = cls([target])
        history._warnings = {(str(target.type), target.id): warnings}
        history._suspensions = {target.user_id: suspensions}
        return history

    def count_warnings(self, target: Target) -> int:
        """Return how many warnings the author got about this target."""
        return self._warnings.get((str(target.type), target.id), 0)

    def count_suspensions(self, target: Target) -> int:
        """Return how often the target's author was suspended, for any reason."""
        return self._suspensions.get(target.user_id, 0)

    @cached_property
    def _warnings(self) -> dict[tuple[str, int], int]:
        entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS).filter(user_id__in=self._user_ids, action="warn")
        rows = entries.values_list("target_type", "target_id").annotate(Count("pk"))
        return {(target_type, target_id): count for target_type, target_id, count in rows}

    @cached_property
    def _suspensions(self) -> dict[int, int]:
        return moderation.count_suspensions(self._user_ids)
