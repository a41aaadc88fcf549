"""Read a user's notification entries.

New and moved entries appear at the top, and the single writer (`writer_lock`) assigns positions in the order in which
they become visible. So paging downwards from a position neither repeats nor skips an entry.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID
from social.models import Notification, Warning
from social.notifications.aggregation_keys import parse_warning_id
from social.notifications.deliverability import filter_deliverable

MAX_EXAMINED_ACTORS = 25  # the newest actors of an entry, which are checked for blocks and mutes

# Raw: the ORM has no LATERAL, which reads only the newest actors of each entry from the index.
_SELECT_ENTRIES = """
WITH state AS MATERIALIZED (
    SELECT coalesce(max(read_up_to), 0) AS read_up_to FROM social_notificationstate WHERE user_id = %(recipient)s
)
SELECT entry.*, newest.actors, newest.positions, (SELECT read_up_to FROM state)
FROM social_notification AS entry
CROSS JOIN LATERAL (
    SELECT array_agg(actor_id ORDER BY position DESC) AS actors,
           array_agg(position ORDER BY position DESC) AS positions
    FROM (
        SELECT actor_id, position FROM social_notificationactor
        WHERE notification_id = entry.id AND is_active ORDER BY position DESC LIMIT %(max_actors)s
    ) AS actor
) AS newest
WHERE entry.recipient_id = %(recipient)s AND entry.position < %(before)s AND entry.actor_count > 0
  AND entry.position > CASE WHEN %(unread)s THEN (SELECT read_up_to FROM state) ELSE 0 END
ORDER BY entry.position DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A notification as its recipient sees it, with its newest actors."""

    position: int
    kind: str
    post_id: int | None
    comment_id: int | None
    created_at: datetime
    actors: tuple[int, ...]  # user ids, newest first, at most MAX_EXAMINED_ACTORS
    positions: tuple[int, ...]  # the position at which each of them was added
    actor_count: int  # all actors
    read_up_to: int
    warning_id: int | None = None

    @property
    def read(self) -> bool:
        """Whether the recipient has read up to the newest of these actors."""
        return self.positions[0] <= self.read_up_to


def list_entries(recipient_id: int, before: int | None, limit: int, *, unread: bool = False) -> list[Entry]:
    """Return the next `limit` entries below a position, newest first, with their newest actors. One query.

    `unread` returns only entries with an actor above the read position. Actors are not checked for blocks and mutes
    here: see `filter_visible_actors`.
    """
    # The previous page may come from a server that is ahead of the replica. On the replica an entry that has moved
    # would still be in its old place and appear twice, so later pages read the primary.
    with nullcontext() if before is None else session.use_primary():
        rows = Notification.objects.raw(
            _SELECT_ENTRIES,
            {
                "recipient": recipient_id,
                "before": MAX_ID if before is None else before,
                "unread": unread,
                "limit": limit,
                "max_actors": MAX_EXAMINED_ACTORS,
            },
        )
        return [_build_entry(row) for row in rows]


def filter_visible_actors(recipient_id: int, entries: Sequence[Entry]) -> list[Entry]:
    """Remove actors of whom the recipient must not be notified, and entries without any other actor. One query.

    `actor_count` is exact up to MAX_EXAMINED_ACTORS actors. Older actors are counted without a check.
    """
    pairs = {(recipient_id, actor_id) for entry in entries for actor_id in entry.actors}
    visible = {actor_id for _, actor_id in filter_deliverable(pairs)}
    return [kept for entry in entries if (kept := _keep_actors(entry, visible)).actors]


def fetch_warning_texts(warning_ids: Collection[int]) -> dict[int, str]:
    """Return moderators' warnings by id. No query for no ids."""
    warnings = Warning.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=warning_ids)
    return dict(warnings.values_list("pk", "text"))


def _keep_actors(entry: Entry, visible: set[int]) -> Entry:
    kept = [index for index, actor_id in enumerate(entry.actors) if actor_id in visible]
    if len(kept) == len(entry.actors):
        return entry
    return replace(
        entry,
        actors=tuple(entry.actors[index] for index in kept),
        positions=tuple(entry.positions[index] for index in kept),
        actor_count=entry.actor_count - len(entry.actors) + len(kept),
    )


def _build_entry(row: Any) -> Entry:
    return Entry(
        row.position,
        row.kind,
        row.post_id,
        row.comment_id,
        row.created_at,
        tuple(row.actors or ()),
        tuple(row.positions or ()),
        row.actor_count,
        row.read_up_to,
        parse_warning_id(row.aggregation_key),
    )
