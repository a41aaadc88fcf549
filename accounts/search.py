"""Search for users by the beginning of their username or display name, in any case, script and composition.

Usernames that match come first, in their own order, so an exact match leads. Users whose display name matches and
whose username does not follow, ordered by case-folded display name and id. Inactive accounts are excluded. Both orders
are by code point, independent of the database's collation, and each is read from an index in that order, one page at a
time. The cost depends neither on the number of users nor on the length of the search text.

A user who matches by display name also matches by username exactly if both names begin with the same characters for
at least the length of the text. So the index of display names is divided by the length of the common prefix of both
names, and a page merges the parts whose prefix is shorter than the text: at most 31, each read for one page at most.
Users who match twice are never read.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

from django.db.models.query import RawQuerySet

from accounts.models import SEARCH_FORM_SQL, User
from instafeed.core.db.replicas import session

MIN_BATCH_SIZE = 20  # users, so that a page with many hidden users is filled in a few rounds
MAX_COMMON_PREFIX_LENGTH = 30  # characters: a whole username


class SearchPosition(NamedTuple):
    """The position of a user among the results. Positions compare in the order of the results."""

    by_display_name: bool
    key: str  # the username, or the case-folded display name
    user_id: int


FIRST_POSITION = SearchPosition(False, "", 0)

# Raw SQL: the ORM lacks `^@` (starts with), which needs no escaping, and comparisons in a given collation.
# The text arrives as a literal, so the planner folds it and turns `^@` into a range of the index.
_PREFIX_SQL = SEARCH_FORM_SQL.format("%(text)s::text")
_DISPLAY_NAME_SQL = SEARCH_FORM_SQL.format("display_name")
# Must equal the expression of the index: COMMON_PREFIX_LENGTH in accounts.models.
_COMMON_PREFIX_SQL = rf"length(substring(username || ' ' || {_DISPLAY_NAME_SQL} from '^([^ ]*)[^ ]* \1'))"
_BY_USERNAME_SQL = f"""
SELECT id, username AS key FROM accounts_user
WHERE is_active AND username ^@ ({_PREFIX_SQL} COLLATE "C") AND username COLLATE "C" > %(key)s
ORDER BY username COLLATE "C" LIMIT %(wanted)s
"""  # noqa: S608 (constants)
# The scan starts at the row comparison, not at `^@`. So the comparison must never start before the text itself.
_BY_DISPLAY_NAME_SQL = f"""
SELECT found.id, found.key
FROM generate_series(0, least(length({_PREFIX_SQL}) - 1, {MAX_COMMON_PREFIX_LENGTH})) AS list (prefix_length),
LATERAL (
    SELECT id, {_DISPLAY_NAME_SQL} AS key FROM accounts_user
    WHERE is_active AND display_name <> '' AND {_COMMON_PREFIX_SQL} = list.prefix_length
      AND {_DISPLAY_NAME_SQL} ^@ {_PREFIX_SQL}
      AND ({_DISPLAY_NAME_SQL}, id) > (greatest(%(key)s, {_PREFIX_SQL}), %(user_id)s)
    ORDER BY {_DISPLAY_NAME_SQL}, id LIMIT %(wanted)s
) AS found
ORDER BY found.key, found.id LIMIT %(wanted)s
"""  # noqa: S608


def find_users(text: str, after: SearchPosition | None, wanted: int) -> tuple[list[SearchPosition], bool]:
    """Return about `wanted` users after a position whose names begin with `text`, and whether these are the last.

    `text` must not be blank or contain NUL. Runs one query for usernames and one for display names at most. The first
    page may be read from a replica. The caller filters the users that the viewer may not see.
    """
    # The page before may come from a server that was ahead of the replicas; a replica could skip users in between.
    with nullcontext() if after is None else session.use_primary():
        return _find_users(text, after or FIRST_POSITION, max(wanted, MIN_BATCH_SIZE))


def _find_users(text: str, after: SearchPosition, wanted: int) -> tuple[list[SearchPosition], bool]:
    found: list[SearchPosition] = []
    if not after.by_display_name:
        found = [SearchPosition(False, row.key, row.pk) for row in _query_users(_BY_USERNAME_SQL, text, after, wanted)]
        after = SearchPosition(True, "", 0)
    if len(found) < wanted:
        rows = _query_users(_BY_DISPLAY_NAME_SQL, text, after, wanted - len(found))
        found += [SearchPosition(True, row.key, row.pk) for row in rows]
    return found, len(found) < wanted


def _query_users(statement: str, text: str, after: SearchPosition, wanted: int) -> RawQuerySet[Any]:
    return User.objects.raw(statement, {"text": text, "wanted": wanted, **after._asdict()})
