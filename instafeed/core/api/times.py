"""Moments as clients get them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """In UTC, as DRF writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
