"""Finding people by how their username or their display name begins, in any case and any script.

First come those whose username begins so, by username, so that an exact one leads; then those whose display name does
and whose username does not, by folded display name and id. Suspended and deleted accounts are not found.
Both orders are by code points, whatever the database's own collation, and both are read from an index that
has them, a page at a time: a million people or one letter to search for make no difference.

Whoever matches by display name matches by username too exactly if both begin alike for as long as the text is.
So the index of display names has one list for each length that the two begin alike for, and a page merges the lists
below the length of the text: at most 31, each read no further than a page. Nobody who matches twice is looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models.query import RawQuerySet

from accounts.models import User
from instafeed.core.db.replicas import session

MIN_BATCH_SIZE = 20  # people at least, so that refilling a page from which many were left out takes few rounds
MAX_COMMON_PREFIX_LENGTH = 30  # characters: a whole username


class SearchPosition(NamedTuple):
    """Where somebody stands among the people found; in the order of the results."""

    by_display_name: bool
    key: str  # the username, or the folded display name
    user_id: int


FIRST_POSITION = SearchPosition(False, "", 0)

# Raw, because the ORM knows no `^@` (begins with), which needs no escaping, and compares nothing in a collation of
# choice. The text is a literal when it arrives, so the planner folds it and turns `^@` into a range of the index.
_CASEFOLD_SQL = """casefold({} COLLATE "pg_unicode_fast")"""
_PREFIX_SQL = _CASEFOLD_SQL.format("%(text)s::text")
_DISPLAY_NAME_SQL = _CASEFOLD_SQL.format("display_name")
_COMMON_PREFIX_SQL = rf"length(substring(username || ' ' || {_DISPLAY_NAME_SQL} from '^([^ ]*)[^ ]* \1'))"  # as in the index: NAMES_ALIKE
_BY_USERNAME_SQL = f"""
SELECT id, username AS key FROM accounts_user
WHERE is_active AND username ^@ ({_PREFIX_SQL} COLLATE "C") AND username COLLATE "C" > %(key)s
ORDER BY username COLLATE "C" LIMIT %(wanted)s
"""  # noqa: S608 - our own words
# A row comparison is where the scan of a list begins, whatever `^@` says: so never before the text itself.
_BY_DISPLAY_NAME_SQL = f"""
SELECT found.id, found.key FROM generate_series(0, least(length({_PREFIX_SQL}) - 1, {MAX_COMMON_PREFIX_LENGTH})) AS list (alike),
LATERAL (
    SELECT id, {_DISPLAY_NAME_SQL} AS key FROM accounts_user
    WHERE is_active AND display_name <> '' AND {_COMMON_PREFIX_SQL} = list.alike AND {_DISPLAY_NAME_SQL} ^@ {_PREFIX_SQL}
      AND ({_DISPLAY_NAME_SQL}, id) > (greatest(%(key)s, {_PREFIX_SQL}), %(user_id)s)
    ORDER BY {_DISPLAY_NAME_SQL}, id LIMIT %(wanted)s
) AS found
ORDER BY found.key, found.id LIMIT %(wanted)s
"""  # noqa: S608


def find_users(text: str, after: SearchPosition | None, wanted: int) -> tuple[list[SearchPosition], bool]:
    """Some `wanted` people behind `after` whose names begin with `text`, and whether these are the last.

    `text` is not blank and holds no NUL. At most a query for each half; the first page may come from a replica.
    Who may be shown is for the caller to say.
    """
    if after is None:
        return _find_users(text, FIRST_POSITION, max(wanted, MIN_BATCH_SIZE))
    # The page before may have come from a server that was ahead of a replica: no hole between them.
    with session.use_primary():
        return _find_users(text, after, max(wanted, MIN_BATCH_SIZE))


def _find_users(text: str, after: SearchPosition, count: int) -> tuple[list[SearchPosition], bool]:
    found: list[SearchPosition] = []
    if not after.by_display_name:
        found = [SearchPosition(False, row.key, row.pk) for row in _query_users(_BY_USERNAME_SQL, text, after, count)]
        after = SearchPosition(True, "", 0)
    if len(found) < count:
        rows = _query_users(_BY_DISPLAY_NAME_SQL, text, after, count - len(found))
        found += [SearchPosition(True, row.key, row.pk) for row in rows]
    return found, len(found) < count


def _query_users(statement: str, text: str, after: SearchPosition, wanted: int) -> RawQuerySet[Any]:
    return User.objects.raw(statement, {"text": text, "wanted": wanted, **after._asdict()})
