"""The audit log of staff actions. An entry commits or rolls back together with the action that it records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from accounts.models import AuditEntry, Policy, User

State = Mapping[str, Any]  # JSON values, and datetimes


def record(
    actor: User,
    action: str,
    target_type: str,
    target_id: int,
    *,
    user_id: int | None,
    reason: str = "",
    policy: Policy | None = None,
    before: State | None = None,
    after: State | None = None,
) -> AuditEntry:
    """Write an entry inside the caller's transaction.

    `user_id` is the affected user: the target itself, or its author. `before` and `after` hold states only (whether it
    is hidden, until when it is suspended), never users' texts: those must stay erasable, and an entry is not.
    """
    return AuditEntry.objects.using(DEFAULT_DB_ALIAS).create(
        actor_id=actor.pk,
        actor_name=actor.username,
        action=action,
        target_type=target_type,
        target_id=target_id,
        user_id=user_id,
        reason=reason,
        policy_id=policy.pk if policy else None,
        policy_name=policy.name if policy else "",
        before=_to_json(before or {}),
        after=_to_json(after or {}),
    )


def _to_json(state: State) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in state.items()}


@dataclass
class Changes:
    """The changes of one staff action, collected while it runs. Falsy if there are none; then no entry is written."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, before: Any, after: Any) -> None:
        """Add a state. Equal values are ignored."""
        if before != after:
            self.before[name], self.after[name] = before, after

    def __bool__(self) -> bool:
        return bool(self.after)

    def record(
        self,
        actor: User,
        action: str,
        target_type: str,
        target_id: int,
        *,
        user_id: int | None,
        reason: str = "",
        policy: Policy | None = None,
    ) -> bool:
        """Write one entry for all changes, if there are any. Return whether there are."""
        if self:
            record(
                actor,
                action,
                target_type,
                target_id,
                user_id=user_id,
                reason=reason,
                policy=policy,
                before=self.before,
                after=self.after,
            )
        return bool(self)
