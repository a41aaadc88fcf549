"""The audit log: what staff did. Each entry commits together with what it tells of, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
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
        before=_plain(before or {}),
        after=_plain(after or {}),
    )


def _plain(state: State) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in state.items()}
