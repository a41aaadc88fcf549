"""The audit log: what staff did. Each entry commits together with what it tells of, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from accounts.models import AuditEntry, User

State = Mapping[str, Any]  # as JSON knows it, and datetimes


def record(
    actor: User,
    action: str,
    target_type: str,
    target_id: int,
    *,
    user_id: int | None,
    reason: str = "",
    before: State | None = None,
    after: State | None = None,
) -> AuditEntry:
    """Write an entry inside the caller's transaction; `user_id` is whom it concerns, the target or its author.

    `before` and `after` hold states only (what is hidden, until when): texts of users must be erasable, an
    entry is not.
    """
    return AuditEntry.objects.using(DEFAULT_DB_ALIAS).create(
        actor_id=actor.pk,
        actor_name=actor.username,
        action=action,
        target_type=target_type,
        target_id=target_id,
        user_id=user_id,
        reason=reason,
        before=_to_json(before or {}),
        after=_to_json(after or {}),
    )


def _to_json(state: State) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in state.items()}


@dataclass
class Changes:
    """What one act changes, gathered as it goes: false if that is nothing, and then it leaves no entry."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, before: Any, after: Any) -> None:
        """A state that may have changed; what is the same as before is passed over."""
        if before != after:
            self.before[name], self.after[name] = before, after

    def __bool__(self) -> bool:
        return bool(self.after)

    def record(
        self, actor: User, action: str, target_type: str, target_id: int, *, user_id: int | None, reason: str = ""
    ) -> bool:
        """Write the act's one entry, if it changed something; whether it did."""
        if self:
            record(
                actor,
                action,
                target_type,
                target_id,
                user_id=user_id,
                reason=reason,
                before=self.before,
                after=self.after,
            )
        return bool(self)
