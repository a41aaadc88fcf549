"""Decide who may be notified of whom."""

from __future__ import annotations

from collections.abc import Collection

from django.db import DEFAULT_DB_ALIAS, connections

# Raw: the ORM cannot join a list of pairs.
_DELIVERABLE_PAIRS = """
SELECT pair.recipient, pair.actor
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (recipient, actor)
JOIN accounts_user AS recipient ON recipient.id = pair.recipient AND recipient.is_active
JOIN accounts_user AS actor ON actor.id = pair.actor AND actor.is_active
WHERE NOT EXISTS (SELECT FROM social_block WHERE blocker_id = pair.recipient AND blocked_id = pair.actor)
  AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = pair.actor AND blocked_id = pair.recipient)
  AND NOT EXISTS (SELECT FROM social_mute WHERE muter_id = pair.recipient AND muted_id = pair.actor)
"""


def filter_deliverable(pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the (recipient id, actor id) pairs in which the recipient may be notified of the actor.

    Both must be active, neither may block the other, and the recipient must not have muted the actor. One query on
    the primary, because a lagging replica could miss a block.
    """
    if not pairs:
        return set()
    recipients, actors = zip(*pairs, strict=True)
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELIVERABLE_PAIRS, [list(recipients), list(actors)])
        return set(cursor.fetchall())
