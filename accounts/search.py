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
from instafeed.replicas import session

BATCH = 20  # people at least, so that refilling a page from which many were left out takes few rounds
LONGEST_ALIKE = 30  # characters: a whole username


class Place(NamedTuple):
    """Where somebody stands among the people found; in the order of the results."""

    by_display_name: bool
    key: str  # the username, or the folded display name
    user_id: int


START = Place(False, "", 0)

# Raw, because the ORM knows no `^@` (begins with), which needs no escaping, and compares nothing in a collation of
# choice. The text is a literal when it arrives, so the planner folds it and turns `^@` into a range of the index.
_FOLD = """casefold({} COLLATE "pg_unicode_fast")"""
_PREFIX = _FOLD.format("%(text)s::text")
_NAME = _FOLD.format("display_name")
_ALIKE = rf"length(substring(username || ' ' || {_NAME} from '^([^ ]*)[^ ]* \1'))"  # as in the index: NAMES_ALIKE
_BY_USERNAME = f"""
SELECT id, username AS key FROM accounts_user
WHERE is_active AND username ^@ ({_PREFIX} COLLATE "C") AND username COLLATE "C" > %(key)s
ORDER BY username COLLATE "C" LIMIT %(wanted)s
"""  # noqa: S608 - our own words
# A row comparison is where the scan of a list begins, whatever `^@` says: so never before the text itself.
_BY_DISPLAY_NAME = f"""
SELECT found.id, found.key FROM generate_series(0, least(length({_PREFIX}) - 1, {LONGEST_ALIKE})) AS list (alike),
LATERAL (
    SELECT id, {_NAME} AS key FROM accounts_user
    WHERE is_active AND display_name <> '' AND {_ALIKE} = list.alike AND {_NAME} ^@ {_PREFIX}
      AND ({_NAME}, id) > (greatest(%(key)s, {_PREFIX}), %(user_id)s)
    ORDER BY {_NAME}, id LIMIT %(wanted)s
) AS found
ORDER BY found.key, found.id LIMIT %(wanted)s
"""  # noqa: S608


def places(text: str, after: Place | None, wanted: int) -> tuple[list[Place], bool]:
    """Some `wanted` people behind `after` whose names begin with `text`, and whether these are the last.

    `text` is not blank and holds no NUL. At most a query for each half; the first page may come from a replica.
    Who may be shown is for the caller to say.
    """
    if after is None:
        return _places(text, START, max(wanted, BATCH))
    # The page before may have come from a server that was ahead of a replica: no hole between them.
    with session.use_primary():
        return _places(text, after, max(wanted, BATCH))


def _places(text: str, after: Place, count: int) -> tuple[list[Place], bool]:
    found: list[Place] = []
    if not after.by_display_name:
        found = [Place(False, row.key, row.pk) for row in _read(_BY_USERNAME, text, after, count)]
        after = Place(True, "", 0)
    if len(found) < count:
        rows = _read(_BY_DISPLAY_NAME, text, after, count - len(found))
        found += [Place(True, row.key, row.pk) for row in rows]
    return found, len(found) < count


def _read(statement: str, text: str, after: Place, wanted: int) -> RawQuerySet[Any]:
    return User.objects.raw(statement, {"text": text, "wanted": wanted, **after._asdict()})
