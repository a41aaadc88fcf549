"""Read a user's notification entries.

New and moved entries appear at the top, and the single writer (`writer_lock`) assigns positions in the order in which
they become visible. So paging downwards from a position neither repeats nor skips an entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections, router

from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID
from social.models import ModeratorMessage, Notification
from social.notifications.aggregation_keys import parse_message_id
from social.notifications.deliverability import filter_deliverable

MAX_SHOWN_ACTORS = 3
MAX_EXAMINED_ACTORS = 25  # the newest actors of an entry, which are checked for blocks and mutes
# Older actors of an entry that are examined, in these steps, while fewer than MAX_SHOWN_ACTORS may be shown.
FURTHER_ACTORS = (100, 1_000)
MAX_REQUEST_ACTORS = 5_000  # actors that one request examines, of all entries in all steps

_ENTRIES = """
SELECT * FROM social_notification
WHERE recipient_id = %(recipient)s AND position < %(before)s AND actor_count > 0
  AND position > CASE WHEN %(unread)s THEN (SELECT read_up_to FROM state) ELSE 0 END
  AND {condition}
ORDER BY position DESC LIMIT %(limit)s
"""
_LISTED_ENTRIES = _ENTRIES.format(condition="NOT is_dismissed")
_DISMISSED_ENTRIES = _ENTRIES.format(condition="is_dismissed")
# The newest entries of each kind, then the newest of these: however many others there are, they are not read.
_ENTRIES_OF_KINDS = """
SELECT newest.* FROM unnest(%(kinds)s::text[]) AS wanted (kind)
CROSS JOIN LATERAL ({entries}) AS newest
ORDER BY position DESC LIMIT %(limit)s
""".format(entries=_ENTRIES.format(condition="NOT is_dismissed AND kind = wanted.kind"))
# Raw: the ORM has no LATERAL, which reads only the newest actors of each entry from the index.
_SELECT_ENTRIES = """
WITH state AS MATERIALIZED (
    SELECT coalesce(max(read_up_to), 0) AS read_up_to FROM social_notificationstate WHERE user_id = %(recipient)s
)
SELECT entry.id, entry.position, entry.kind, entry.post_id, entry.comment_id, entry.aggregation_key,
       entry.actor_count, newest.actors, newest.positions, newest.times, (SELECT read_up_to FROM state)
FROM ({entries}) AS entry
CROSS JOIN LATERAL (
    SELECT array_agg(actor_id ORDER BY position DESC) AS actors,
           array_agg(position ORDER BY position DESC) AS positions,
           array_agg(announced_at ORDER BY position DESC) AS times
    FROM (
        SELECT actor_id, position, announced_at FROM social_notificationactor
        WHERE notification_id = entry.id AND is_active ORDER BY position DESC LIMIT %(max_actors)s
    ) AS actor
) AS newest
ORDER BY entry.position DESC
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


# Raw: two index probes for each user. The ORM would aggregate all of the users' entries.
_NEWEST_POSITIONS = """
SELECT recipient.id, (
    SELECT position FROM social_notification
    WHERE recipient_id = recipient.id AND NOT is_dismissed ORDER BY position DESC LIMIT 1
), (SELECT read_up_to FROM social_notificationstate WHERE user_id = recipient.id)
FROM unnest(%s::bigint[]) AS recipient (id)
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
    message_id: int | None = None

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


class EntryBatch(NamedTuple):
    """Entries of one read, without actors of whom the recipient must not be notified."""

    entries: list[Entry]  # those with an actor left
    positions: list[int]  # of all entries that were examined
    is_last: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """The entries of a user that are read: those of the list by default, only some of them, or the dismissed ones."""

    unread: bool = False  # only entries with an actor above the read position
    kinds: Sequence[str] | None = None  # None: all kinds
    dismissed: bool = False  # of all kinds

    @property
    def sql(self) -> str:
        if self.dismissed:
            return _SELECT_ENTRIES.format(entries=_DISMISSED_ENTRIES)
        return _SELECT_ENTRIES.format(entries=_LISTED_ENTRIES if self.kinds is None else _ENTRIES_OF_KINDS)


LISTED = Selection()


class EntryReader:
    """Reads a user's entries with the actors that the user may see, for one request.

    A request examines MAX_REQUEST_ACTORS actors, and one more entry at most. A batch ends before the first entry for
    which the rest of this budget is too small. Batches after that are empty.

    Of unread entries it looks for one visible actor of each, otherwise for MAX_SHOWN_ACTORS.
    """

    def __init__(self, recipient_id: int, selection: Selection = LISTED) -> None:
        self._recipient_id, self._selection = recipient_id, selection
        self._unread = unread = selection.unread
        self._wanted = 1 if unread else MAX_SHOWN_ACTORS
        self._steps = (1, *FURTHER_ACTORS) if unread else (MAX_EXAMINED_ACTORS, *FURTHER_ACTORS)
        self._budget = MAX_REQUEST_ACTORS

    def read(self, before: int | None, limit: int) -> EntryBatch:
        """Return up to `limit` entries below a position, newest first.

        Takes two queries, unless the newest actors of an entry cannot be shown: then two more for each further step.
        `actor_count` is exact up to the examined actors. Older actors are counted without a check.
        """
        if self._budget <= 0:
            return EntryBatch([], [], is_last=False)
        max_actors = self._steps[0]
        limit = min(limit, max(self._budget // max_actors, 1))
        found = list_entries(self._recipient_id, before, limit, self._selection, max_actors)
        examined = self._examine(found)
        return EntryBatch(
            [entry for entry in examined if entry.actors],
            [entry.position for entry in examined],
            is_last=len(found) < limit and len(examined) == len(found),
        )

    def _examine(self, found: Sequence[Entry]) -> list[Entry]:
        """Return the entries with their visible actors, up to the first one that the budget does not allow."""
        kept = self._keep_visible_actors({entry.id: entry for entry in found})
        for step in self._steps[1:]:
            wanting = [entry for entry in kept.values() if self._wants_more(entry)]
            affordable = self._within_budget(wanting, step)
            if len(affordable) < len(wanting):
                kept = _take_before(wanting[len(affordable)], kept)
            if not affordable:
                break
            older = self._keep_visible_actors(_load_older_actors(affordable, step))
            for entry in older.values():
                kept[entry.id] = replace(entry, actors=(*kept[entry.id].actors, *entry.actors))
        return list(kept.values())

    def _wants_more(self, entry: Entry) -> bool:
        if entry.older_than is None or len(entry.actors) >= self._wanted:
            return False
        return not self._unread or entry.older_than > entry.read_up_to

    def _within_budget(self, wanting: Iterable[Entry], step: int) -> list[Entry]:
        """Return the first entries whose next actors the budget allows. The first one is always allowed."""
        allowed: list[Entry] = []
        budget = self._budget
        for entry in wanting:
            budget -= min(step, entry.actor_count - len(entry.actors))
            if budget < 0 and allowed:
                break
            allowed.append(entry)
        return allowed

    def _keep_visible_actors(self, entries: dict[int, Entry]) -> dict[int, Entry]:
        """Return the entries without the actors of whom the recipient must not be notified. One query."""
        self._budget -= sum(len(entry.actors) for entry in entries.values())
        pairs = {(self._recipient_id, actor_id) for entry in entries.values() for actor_id in entry.actor_ids}
        visible = {actor_id for _, actor_id in filter_deliverable(pairs)}
        return {id_: _keep_actors(entry, visible) for id_, entry in entries.items()}


def _take_before(cut: Entry, entries: dict[int, Entry]) -> dict[int, Entry]:
    return {entry.id: entry for entry in takewhile(lambda entry: entry.id != cut.id, entries.values())}


def list_entries(
    recipient_id: int,
    before: int | None,
    limit: int,
    selection: Selection = LISTED,
    max_actors: int = MAX_EXAMINED_ACTORS,
) -> list[Entry]:
    """Return the next `limit` entries below a position, newest first, with their newest actors. One query.

    Actors are not checked for blocks and mutes here: see `EntryReader`.
    """
    # The previous page may come from a server that is ahead of the replica. On the replica an entry that has moved
    # would still be in its old place and appear twice, so later pages read the primary.
    with nullcontext() if before is None else session.use_primary():
        parameters: dict[str, int | bool | list[str]] = {
            "recipient": recipient_id,
            "before": MAX_ID if before is None else before,
            "unread": selection.unread,
            "kinds": list(selection.kinds or ()),
            "limit": limit,
            "max_actors": max_actors,
        }
        # A cursor: instances of the model took a third of the time of an unread count.
        with connections[router.db_for_read(Notification)].cursor() as cursor:
            cursor.execute(selection.sql, parameters)
            return [_build_entry(row, max_actors) for row in cursor.fetchall()]


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


def fetch_newest_positions(user_ids: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
    """Return for each user the position of the newest entry in the list, and up to where the user has read it.

    If both are the same as before, nothing new has happened. One query, on the primary.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_NEWEST_POSITIONS, [list(user_ids)])
        return {user_id: (position, read_up_to) for user_id, position, read_up_to in cursor.fetchall()}


def fetch_message_texts(message_ids: Collection[int]) -> dict[int, str]:
    """Return moderators' messages by id. No query for no ids."""
    messages = ModeratorMessage.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=message_ids)
    return dict(messages.values_list("pk", "text"))


def _keep_actors(entry: Entry, visible: set[int]) -> Entry:
    kept = tuple(actor for actor in entry.actors if actor.user_id in visible)
    removed = len(entry.actors) - len(kept)
    return replace(entry, actors=kept, actor_count=entry.actor_count - removed) if removed else entry


def _build_entry(row: tuple[Any, ...], max_actors: int) -> Entry:
    id_, position, kind, post_id, comment_id, key, actor_count, actor_ids, positions, times, read_up_to = row
    return Entry(
        id=id_,
        position=position,
        kind=kind,
        post_id=post_id,
        comment_id=comment_id,
        actors=tuple(map(Actor, actor_ids or (), positions or (), times or ())),
        actor_count=actor_count,
        read_up_to=read_up_to,
        older_than=positions[-1] if positions and len(positions) == max_actors else None,
        message_id=parse_message_id(key),
    )
