"""Import millions of follows: staged by COPY, applied by a few set-based statements, all or nothing.

`stage()` and `apply()` run in one transaction. A number in the file means the user `u<number>`. A missing user is
created without a usable password; an existing account of that name is used.

An import follows private accounts directly, which grants pending requests, and notifies no one. A block in either
direction wins: such a pair is skipped.

Concurrency: `lock_graph` keeps all other relation writes out from `apply()` to the commit. So what is read here stays
true, and counts are recounted instead of incremented. Other writers of `User` rows are blocked only by the recount,
which locks the rows in ascending order. Count changes that are pending for these users stay pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import IntegrityError, connection
from django.db.backends.utils import CursorWrapper

from accounts.models import User
from instafeed.core.db import bulk_load
from social import notifications
from social.models import Follow
from social.services import follow_events
from social.services.locks import lock_count_repair, lock_graph
from social.signals import relations_changed

SIGNAL_BATCH_SIZE = 500  # viewers in one signal

# Temporary tables are neither logged nor replicated, and are dropped at the end of the transaction.
_STAGE = """
DROP TABLE IF EXISTS pg_temp.import_edge, pg_temp.import_pair, pg_temp.import_user, pg_temp.import_person,
    pg_temp.import_gain;
SET LOCAL work_mem = '128MB';
CREATE TEMP TABLE import_edge (follower bigint NOT NULL, followee bigint NOT NULL) ON COMMIT DROP;
"""
_RESOLVE = """
CREATE TEMP TABLE import_pair ON COMMIT DROP AS SELECT DISTINCT follower, followee FROM import_edge;
CREATE TEMP TABLE import_user ON COMMIT DROP AS
    SELECT number, 'u' || number AS username, u.id
    FROM (SELECT follower AS number FROM import_pair UNION SELECT followee FROM import_pair) AS numbers
    LEFT JOIN accounts_user u ON u.username = 'u' || number;
ANALYZE import_pair;
ANALYZE import_user;
"""
# The first missing user whose name is a former username, reserved to another account.
_RESERVED = """
SELECT username FROM import_user JOIN accounts_formerusername USING (username)
WHERE import_user.id IS NULL AND reserved_until > clock_timestamp() ORDER BY number LIMIT 1
"""
# Counts the pairs by kind, before anything is created.
_PLAN = """
SELECT (SELECT count(*) FROM import_user WHERE id IS NULL),
       (SELECT count(*) FROM import_pair),
       count(*) FILTER (WHERE f.follower_id IS NOT NULL),
       count(*) FILTER (WHERE f.follower_id IS NULL AND b.blocked)
FROM import_pair p
JOIN import_user one ON one.number = p.follower AND one.id IS NOT NULL
JOIN import_user two ON two.number = p.followee AND two.id IS NOT NULL
LEFT JOIN social_follow f ON f.followee_id = two.id AND f.follower_id = one.id
LEFT JOIN LATERAL (
    SELECT true AS blocked FROM social_block
    WHERE (blocker_id, blocked_id) IN ((one.id, two.id), (two.id, one.id)) LIMIT 1
) b ON true
"""
_CREATE_USERS = """
INSERT INTO accounts_user (username, password, {columns})
SELECT username, '!' || replace(gen_random_uuid()::text, '-', ''), {values}
FROM import_user WHERE id IS NULL ORDER BY number
ON CONFLICT (username) DO NOTHING
"""
# The ids of all users in the file. KEY SHARE keeps them from being erased, so that every follow has both users.
_LOCK_USERS = """
CREATE TEMP TABLE import_person ON COMMIT DROP AS
    SELECT i.number, u.id, i.id IS NULL AS created
    FROM accounts_user u JOIN import_user i USING (username)
    ORDER BY u.id FOR KEY SHARE OF u;
CREATE UNIQUE INDEX ON import_person (number);
CREATE UNIQUE INDEX ON import_person (id);
ANALYZE import_person;
CREATE TEMP TABLE import_gain (id bigint NOT NULL, follows bigint NOT NULL) ON COMMIT DROP;
"""
# In the order of the primary key, so that neighbouring rows go to neighbouring index pages.
_INSERT_FOLLOWS = """
WITH inserted AS (
    INSERT INTO social_follow (followee_id, follower_id)
    SELECT two.id, one.id
    FROM import_pair p
    JOIN import_person one ON one.number = p.follower
    JOIN import_person two ON two.number = p.followee
    WHERE NOT EXISTS (SELECT FROM social_block WHERE blocker_id = one.id AND blocked_id = two.id)
      AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = two.id AND blocked_id = one.id)
    ORDER BY two.id, one.id
    ON CONFLICT DO NOTHING
    RETURNING follower_id
)
INSERT INTO import_gain SELECT follower_id, count(*) FROM inserted GROUP BY follower_id
"""
_GRANT_REQUESTS = """
DELETE FROM social_followrequest r
USING import_person one, social_follow f
WHERE r.follower_id = one.id AND f.followee_id = r.followee_id AND f.follower_id = r.follower_id
RETURNING r.follower_id, r.followee_id
"""
_LOCK_COUNTS = """
SELECT count(*) FROM (
    SELECT u.id FROM accounts_user u JOIN import_person USING (id) ORDER BY u.id FOR NO KEY UPDATE OF u
) AS locked
"""
# Pending count changes are subtracted, because they are added later. None is added or appended meanwhile: the rows
# and the graph are locked.
_RECOUNT = """
UPDATE accounts_user u SET follower_count = c.followers, following_count = c.following
FROM (
    SELECT id, coalesce(a.followers, 0) - coalesce(p.followers, 0) AS followers,
           coalesce(b.following, 0) - coalesce(p.following, 0) AS following
    FROM import_person
    LEFT JOIN (
        SELECT followee_id AS id, count(*) AS followers FROM social_follow
        WHERE followee_id IN (SELECT id FROM import_person) GROUP BY followee_id
    ) AS a USING (id)
    LEFT JOIN (
        SELECT follower_id AS id, count(*) AS following FROM social_follow
        WHERE follower_id IN (SELECT id FROM import_person) GROUP BY follower_id
    ) AS b USING (id)
    LEFT JOIN (
        SELECT user_id AS id, sum(followers) AS followers, sum(following) AS following
        FROM accounts_countchange GROUP BY user_id
    ) AS p USING (id)
) AS c
WHERE u.id = c.id AND (u.follower_count, u.following_count) IS DISTINCT FROM (c.followers, c.following)
"""


class ReservedUsername(Exception):
    """A user of the file cannot be created: the name is reserved to another account, which had it before."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import will find and create."""

    new_users: int
    pairs: int  # distinct pairs of users in the file
    existing: int  # pairs that follow already
    blocked: int  # pairs with a block in either direction

    @property
    def new_follows(self) -> int:
        return self.pairs - self.existing - self.blocked


@dataclass(frozen=True, slots=True)
class ImportResult:
    users: int  # created
    follows: int  # created
    recounted: int  # users whose counts changed


def stage(rows: Iterable[bytes]) -> ImportPlan:
    """Copy `follower<TAB>followee` lines (see `follow_file`) into temporary tables and plan the import.

    Raises ReservedUsername.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        bulk_load.copy_into("import_edge", ["follower", "followee"], rows)
        cursor.execute(_RESOLVE)
        cursor.execute(_RESERVED)
        if reserved := cursor.fetchone():
            raise ReservedUsername(f"{reserved[0]} is a former username, which is reserved to another account")
        cursor.execute(_PLAN)
        return ImportPlan(*cursor.fetchone())


def apply() -> ImportResult:
    """Create the staged users and follows, recount all users in the file, and invalidate their cached feeds.

    Idempotent: a second run creates nothing. The result may differ a little from the plan if others wrote meanwhile.
    Raises ReservedUsername, after which the transaction must be rolled back, if a name was given up meanwhile.
    """
    lock_graph()
    with connection.cursor() as cursor:
        users = _create_users(cursor)
        cursor.execute(_LOCK_USERS)
        follows = _insert_follows(cursor)
        _delete_granted_requests(cursor)
        recounted = _recount(cursor)
    for viewer_ids in _batches_of_new_followers():
        relations_changed.send(sender=Follow, viewer_ids=viewer_ids)
    return ImportResult(users, follows, recounted)


def _create_users(cursor: CursorWrapper) -> int:
    fixed = bulk_load.default_values(User, given={"username", "password"})
    statement = _CREATE_USERS.format(columns=", ".join(fixed), values=", ".join(["%s"] * len(fixed)))
    try:
        cursor.execute(statement, list(fixed.values()))
    except IntegrityError as error:  # of the trigger: names that are taken are skipped
        raise ReservedUsername("a username was given up meanwhile and is reserved to its account") from error
    return cursor.rowcount


def _insert_follows(cursor: CursorWrapper) -> int:
    cursor.execute(_INSERT_FOLLOWS)
    cursor.execute("SELECT coalesce(sum(follows), 0)::bigint FROM import_gain")
    (follows,) = cursor.fetchone()
    return int(follows)


def _delete_granted_requests(cursor: CursorWrapper) -> None:
    cursor.execute(_GRANT_REQUESTS)
    notifications.retract(*(follow_events.follow_requested(*edge) for edge in cursor.fetchall()))


def _recount(cursor: CursorWrapper) -> int:
    lock_count_repair()
    cursor.execute(_LOCK_COUNTS)
    cursor.execute(_RECOUNT)
    return cursor.rowcount


def _batches_of_new_followers() -> Iterator[list[int]]:
    """Yield the ids of existing users who follow more accounts than before. New users have nothing cached."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT g.id FROM import_gain g JOIN import_person p USING (id) WHERE NOT p.created")
        viewer_ids = [row[0] for row in cursor.fetchall()]
    for start in range(0, len(viewer_ids), SIGNAL_BATCH_SIZE):
        yield viewer_ids[start : start + SIGNAL_BATCH_SIZE]


def analyze() -> None:
    """Update PostgreSQL's planner statistics for the larger graph. Call after the commit."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE social_follow, accounts_user")
