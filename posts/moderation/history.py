"""What was done before about the targets of a page: counted when first asked for, for all of them at once."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count

from accounts import moderation
from accounts.models import AuditEntry
from posts.services import Target


class ModerationHistory:
    def __init__(self, targets: Collection[Target]) -> None:
        self._user_ids = {target.user_id for target in targets}

    def times_warned(self, target: Target) -> int:
        """How often the author was told something about this."""
        return self._warnings.get((str(target.type), target.id), 0)

    def times_suspended(self, target: Target) -> int:
        """How often the author was suspended, whatever for."""
        return self._suspensions.get(target.user_id, 0)

    @cached_property
    def _warnings(self) -> dict[tuple[str, int], int]:
        entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS).filter(user_id__in=self._user_ids, action="warn")
        rows = entries.values_list("target_type", "target_id").annotate(Count("pk"))
        return {(target_type, target_id): count for target_type, target_id, count in rows}

    @cached_property
    def _suspensions(self) -> dict[int, int]:
        return moderation.count_suspensions(self._user_ids)
