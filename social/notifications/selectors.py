"""A user's entries: what there is, who of it is heard now, and how far it was read.

New entries come on top and an entry that moves leaves its place, so pages downwards from a position are exact:
the one writer of entries (`lock`) draws positions in the order in which they become visible.
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

MAX_EXAMINED_ACTORS = 25  # newest actors of an entry: whom of them the recipient does not hear of is not counted

# Raw: the ORM has no LATERAL, which reads the newest actors of each entry from the index and no more of them.
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
        WHERE notification_id = entry.id AND is_active ORDER BY position DESC LIMIT %(examined)s
    ) AS actor
) AS newest
WHERE entry.recipient_id = %(recipient)s AND entry.position < %(before)s AND entry.actor_count > 0
  AND entry.position > CASE WHEN %(unread)s THEN (SELECT read_up_to FROM state) ELSE 0 END
ORDER BY entry.position DESC
LIMIT %(wanted)s
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as its recipient may see it, as far as people go."""

    position: int
    kind: str
    post_id: int | None
    comment_id: int | None
    created_at: datetime
    actors: tuple[int, ...]  # newest first, at most EXAMINED
    positions: tuple[int, ...]  # when each of them arrived
    actor_count: int  # of all
    read_up_to: int
    warning_id: int | None = None

    @property
    def read(self) -> bool:
        """Whether the recipient had read up to the newest of these actors."""
        return self.positions[0] <= self.read_up_to


def list_entries(recipient_id: int, before: int | None, wanted: int, *, unread: bool = False) -> list[Entry]:
    """The next `wanted` entries below a position, newest first, with their newest actors; one query.

    `unread`: only those that may be, as somebody arrived after what was read. `filter_visible_actors` says who of the actors
    counts.
    """
    # The page before may have come from a server that was ahead of a replica, where an entry that moved is still
    # in its old place: it would be shown again.
    with nullcontext() if before is None else session.use_primary():
        rows = Notification.objects.raw(
            _SELECT_ENTRIES,
            {
                "recipient": recipient_id,
                "before": MAX_ID if before is None else before,
                "unread": unread,
                "wanted": wanted,
                "examined": MAX_EXAMINED_ACTORS,
            },
        )
        return [_build_entry(row) for row in rows]


def filter_visible_actors(recipient_id: int, found: Sequence[Entry]) -> list[Entry]:
    """The entries with those of their actors that the recipient hears of; without any, an entry is left out.

    Counts are exact up to EXAMINED actors; of more, those beyond are counted whoever they are. One query.
    """
    pairs = {(recipient_id, actor_id) for entry in found for actor_id in entry.actors}
    audible = {actor_id for _, actor_id in filter_deliverable(pairs)}
    return [seen for entry in found if (seen := _keep_actors(entry, audible)).actors]


def fetch_warning_texts(warning_ids: Collection[int]) -> dict[int, str]:
    """What moderators said, by warning; no query for none."""
    if not warning_ids:
        return {}
    found = Warning.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=warning_ids)
    return dict(found.values_list("pk", "text"))


def _keep_actors(entry: Entry, audible: set[int]) -> Entry:
    kept = [place for place, actor_id in enumerate(entry.actors) if actor_id in audible]
    if len(kept) == len(entry.actors):
        return entry
    return replace(
        entry,
        actors=tuple(entry.actors[place] for place in kept),
        positions=tuple(entry.positions[place] for place in kept),
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
        parse_warning_id(row.subject),
    )
