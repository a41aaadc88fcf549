"""Timestamps in responses."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Format a timestamp in UTC, as DRF does."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
