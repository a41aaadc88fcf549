"""The tables in partitions: the length of their partitions, and for how long they keep their rows."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from feeds.models import FanOut
from instafeed.core.db import partitions
from instafeed.core.db.partitions import PartitionedTable
from instafeed.core.jobs.leased import JobState
from posts.models import Like, Post


def list_tables() -> list[PartitionedTable]:
    posts, fan_outs = timedelta(days=settings.POST_PARTITION_DAYS), timedelta(days=settings.FAN_OUT_PARTITION_DAYS)
    return [
        PartitionedTable(Post._meta.db_table, posts),
        PartitionedTable(Like._meta.db_table, posts),
        PartitionedTable(
            FanOut._meta.db_table,
            fan_outs,
            # Only the admin shows finished fan-outs. Dead letters stay until they are resumed.
            timedelta(days=settings.FAN_OUT_RETENTION_DAYS) or None,
            kept=f"state <> {JobState.DONE:d}",
        ),
    ]


def maintain() -> list[str]:
    """Add partitions that are needed soon and drop expired ones. Return the tables that must be tried again later."""
    now = timezone.now()
    return [table.name for table in list_tables() if not partitions.maintain(table, now)]
