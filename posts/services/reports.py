"""Telling the moderators."""

from __future__ import annotations

from posts.models import Reason, Report, TargetType


def report(reporter_id: int, target_type: TargetType, target_id: int, reason: Reason, note: str) -> tuple[Report, bool]:
    """The user's report of what they see, and whether it is new; a repeated one changes nothing."""
    return Report.objects.get_or_create(
        reporter_id=reporter_id,
        target_type=target_type,
        target_id=target_id,
        defaults={"reason": reason, "note": note},
    )
