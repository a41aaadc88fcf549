"""Read a user's notification entries.

New and moved entries appear at the top, and the single writer (`writer_lock`) assigns positions in the order in which
they become visible. So paging downwards from a position neither repeats nor skips an entry.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID
from social.models import Notification, Warning
from social.notifications.aggregation_keys import parse_warning_id
from social.notifications.deliverability import filter_deliverable

MAX_SHOWN_ACTORS = 3
MAX_EXAMINED_ACTORS = 25  # the newest actors of an entry, which are checked for blocks and mutes
# Older actors that are examined, in these steps, while fewer than MAX_SHOWN_ACTORS may be shown: of one entry, and of
# all entries in one step.
FURTHER_ACTORS = (100, 1_000)
MAX_FURTHER_ACTORS = 10_000

# Raw: the ORM has no LATERAL, which reads only the newest actors of each entry from the index.
_SELECT_ENTRIES = """
WITH state AS MATERIALIZED (
    SELECT coalesce(max(read_up_to), 0) AS read_up_to FROM social_notificationstate WHERE user_id = %(recipient)s
)
SELECT entry.*, newest.actors, newest.positions, newest.times, (SELECT read_up_to FROM state)
FROM social_notification AS entry
CROSS JOIN LATERAL (
    SELECT array_agg(actor_id ORDER BY position DESC) AS actors,
           array_agg(position ORDER BY position DESC) AS positions,
           array_agg(announced_at ORDER BY position DESC) AS times
    FROM (
        SELECT actor_id, position, announced_at FROM social_notificationactor
        WHERE notification_id = entry.id AND is_active ORDER BY position DESC LIMIT %(max_actors)s
    ) AS actor
) AS newest
WHERE entry.recipient_id = %(recipient)s AND entry.position < %(before)s AND entry.actor_count > 0
  AND entry.position > CASE WHEN %(unread)s THEN (SELECT read_up_to FROM state) ELSE 0 END
ORDER BY entry.position DESC
LIMIT %(limit)s
"""
_SELECT_OLDER_ACTORS = """
SELECT entry.id, actor.actor_id, actor.position, actor.announced_at
FROM unnest(%(entries)s::bigint[], %(positions)s::bigint[]) AS entry (id, position)
CROSS JOIN LATERAL (
    SELECT actor_id, position, announced_at FROM social_notificationactor
    WHERE notification_id = entry.id AND is_active AND position < entry.position
    ORDER BY position DESC LIMIT %(limit)s
) AS actor
ORDER BY entry.id, actor.position DESC
"""


class Actor(NamedTuple):
    """An actor of an entry, and where and when they joined it."""

    user_id: int
    position: int
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A notification as its recipient sees it, with its newest actors."""

    id: int
    position: int
    kind: str
    post_id: int | None
    comment_id: int | None
    actors: tuple[Actor, ...]  # newest first
    actor_count: int  # all actors, without those that were examined and left out
    read_up_to: int
    older_than: int | None  # older actors than this position are not examined yet; None if there are none
    warning_id: int | None = None

    @property
    def actor_ids(self) -> list[int]:
        return [actor.user_id for actor in self.actors]

    @property
    def created_at(self) -> datetime:
        """When the newest of these actors joined. The row has the time of one who may have left since."""
        return self.actors[0].joined_at

    @property
    def read(self) -> bool:
        """Whether the recipient has read up to the newest of these actors."""
        return self.actors[0].position <= self.read_up_to


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
    """Remove actors of whom the recipient must not be notified, and entries without any other actor.

    One query, unless the newest actors of an entry cannot be shown: then two more for each of FURTHER_ACTORS, at most.
    `actor_count` is exact up to the examined actors. Older actors are counted without a check.
    """
    kept = _keep_visible_actors(recipient_id, {entry.id: entry for entry in entries})
    for limit in FURTHER_ACTORS:
        wanting = [entry for entry in kept.values() if entry.older_than and len(entry.actors) < MAX_SHOWN_ACTORS]
        if not wanting:
            break
        older = _load_older_actors(wanting, min(limit, MAX_FURTHER_ACTORS // len(wanting)))
        for entry in _keep_visible_actors(recipient_id, older).values():
            kept[entry.id] = replace(entry, actors=(*kept[entry.id].actors, *entry.actors))
    return [entry for entry in kept.values() if entry.actors]


def _load_older_actors(entries: Sequence[Entry], limit: int) -> dict[int, Entry]:
    """Return the entries, by id, with the next `limit` actors instead of those that were examined."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        ids, positions = [entry.id for entry in entries], [entry.older_than for entry in entries]
        cursor.execute(_SELECT_OLDER_ACTORS, {"entries": ids, "positions": positions, "limit": limit})
        found: dict[int, list[Actor]] = {id_: [] for id_ in ids}
        for id_, *actor in cursor.fetchall():
            found[id_].append(Actor(*actor))
    return {entry.id: _with_examined_actors(entry, found[entry.id], limit) for entry in entries}


def _with_examined_actors(entry: Entry, actors: Sequence[Actor], limit: int) -> Entry:
    older_than = actors[-1].position if len(actors) == limit else None
    return replace(entry, actors=tuple(actors), older_than=older_than)


def fetch_warning_texts(warning_ids: Collection[int]) -> dict[int, str]:
    """Return moderators' warnings by id. No query for no ids."""
    warnings = Warning.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=warning_ids)
    return dict(warnings.values_list("pk", "text"))


def _keep_visible_actors(recipient_id: int, entries: dict[int, Entry]) -> dict[int, Entry]:
    """Return the entries without the actors of whom the recipient must not be notified. One query."""
    pairs = {(recipient_id, actor_id) for entry in entries.values() for actor_id in entry.actor_ids}
    visible = {actor_id for _, actor_id in filter_deliverable(pairs)}
    return {id_: _keep_actors(entry, visible) for id_, entry in entries.items()}


def _keep_actors(entry: Entry, visible: set[int]) -> Entry:
    kept = tuple(actor for actor in entry.actors if actor.user_id in visible)
    removed = len(entry.actors) - len(kept)
    return replace(entry, actors=kept, actor_count=entry.actor_count - removed) if removed else entry


def _build_entry(row: Any) -> Entry:
    entry = Entry(
        id=row.pk,
        position=row.position,
        kind=row.kind,
        post_id=row.post_id,
        comment_id=row.comment_id,
        actors=(),
        actor_count=row.actor_count,
        read_up_to=row.read_up_to,
        older_than=None,
        warning_id=parse_warning_id(row.aggregation_key),
    )
    actors = map(Actor, row.actors or (), row.positions or (), row.times or ())
    return _with_examined_actors(entry, list(actors), MAX_EXAMINED_ACTORS)
