"""Recount followers, follows, posts, likes and comments during live traffic, and repair wrong counts.

A row and its count change in one transaction, so the difference between the two (the drift) is the same in every
snapshot, even while rows are added and removed. The repair reads the drift in one statement and adds it to the count.
`social.services.follow_count_repair` explains why that is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F, Model

from accounts.models import User
from posts import counters
from posts.counters import Counts
from posts.models import Comment, Post
from social.services import follow_count_repair as follows
from social.services.locks import lock_count_repair

Ids = Collection[int]

# Deleted accounts and posts are left out: their rows are deleted without updating counts. Posts with pending media are
# not counted.
_POST_COUNT_DRIFT_SQL = """
SELECT * FROM (
    SELECT person.id, written.total - person.post_count AS posts
    FROM accounts_user person,
    LATERAL (
        SELECT count(*) AS total FROM posts_post
        WHERE author_id = person.id AND deleted_at IS NULL AND NOT media_pending
    ) AS written
    WHERE person.id = ANY(%s) AND person.deleted_at IS NULL
) AS drift WHERE posts <> 0
"""
_COUNTER_SUMS_SQL = """
LATERAL (
    SELECT coalesce(sum(likes), 0) AS likes, coalesce(sum(comments), 0) AS comments
    FROM posts_counter WHERE subject_id = subject.id
) AS counted
"""
_POST_DRIFT_SQL = f"""
SELECT * FROM (
    SELECT subject.id, liked.total - counted.likes AS likes, answered.total - counted.comments AS comments
    FROM posts_post subject,
    LATERAL (SELECT count(*) AS total FROM posts_like WHERE post_id = subject.id) AS liked,
    LATERAL (
        SELECT count(*) AS total FROM posts_comment WHERE post_id = subject.id AND hidden_at IS NULL
    ) AS answered, {_COUNTER_SUMS_SQL}
    WHERE subject.id = ANY(%s) AND subject.deleted_at IS NULL
) AS drift WHERE likes <> 0 OR comments <> 0
"""  # noqa: S608 - constants only
_COMMENT_DRIFT_SQL = f"""
SELECT * FROM (
    SELECT subject.id, liked.total - counted.likes AS likes, -counted.comments AS comments
    FROM posts_comment subject
    JOIN posts_post post ON post.id = subject.post_id AND post.deleted_at IS NULL
    JOIN accounts_user author ON author.id = subject.author_id AND author.deleted_at IS NULL,
    LATERAL (SELECT count(*) AS total FROM posts_commentlike WHERE comment_id = subject.id) AS liked,
    {_COUNTER_SUMS_SQL}
    WHERE subject.id = ANY(%s)
) AS drift WHERE likes <> 0 OR comments <> 0
"""  # noqa: S608


@dataclass(frozen=True)
class CounterRepair:
    """How to find and repair one kind of count."""

    name: str
    model: type[Model]  # of the subjects, which have the counts
    find_wrong: Callable[[Ids], Ids]  # returns the subjects whose counts are wrong, in one query
    correct: Callable[[Ids], None]  # corrects the counts of these subjects and invalidates their caches


@dataclass(frozen=True, slots=True)
class RepairedBatch:
    """What one batch of `repair_counts` found."""

    last_id: int  # the highest id of the batch: where a later run goes on
    checked: int
    wrong: int  # subjects with a wrong count
    left: int  # those that are still wrong


def repair_counts(
    repair: CounterRepair, *, after: int = 0, batch_size: int, dry_run: bool = False
) -> Iterator[RepairedBatch]:
    """Compare one kind of count with the rows, for all subjects with ids above `after`, and correct it.

    Yield the result of each batch when it is committed. Call `social.counter_rollup.roll_up` afterwards.
    """
    for ids in follows.iterate_id_batches(repair.model._default_manager.all(), batch_size, after=after):
        wrong = left = repair.find_wrong(ids)
        if wrong and not dry_run:
            repair.correct(wrong)
            left = repair.find_wrong(wrong)
        yield RepairedBatch(ids[-1], len(ids), len(wrong), len(left))


def _query_drift(statement: str, ids: Ids) -> dict[int, tuple[int, ...]]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement, [list(ids)])
        return {id_: tuple(off) for id_, *off in cursor.fetchall()}


def _correct_post_counts(user_ids: Ids) -> None:
    """Lock the user rows, as every writer of posts does: writers never count below zero, so the order matters."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_count_repair()
        users = User.objects.using(DEFAULT_DB_ALIAS)
        list(users.filter(pk__in=user_ids).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        for user_id, (posts,) in _query_drift(_POST_COUNT_DRIFT_SQL, user_ids).items():
            users.filter(pk=user_id).update(post_count=F("post_count") + posts)


def _correct_counters(table: str, statement: str, ids: Ids) -> None:
    """Lock the rows of `table`, so that none is deleted between the two statements and leaves its counters behind."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_count_repair()
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(f"SELECT FROM {table} WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(ids)])
        drift = _query_drift(statement, ids).items()
        counters.increment_many({id_: Counts(likes, comments) for id_, (likes, comments) in drift})


COUNTER_REPAIRS = (
    CounterRepair("follower and following counts", User, follows.find_wrong_counts, follows.correct_counts),
    CounterRepair("post counts", User, partial(_query_drift, _POST_COUNT_DRIFT_SQL), _correct_post_counts),
    CounterRepair(
        "like and comment counts of posts",
        Post,
        partial(_query_drift, _POST_DRIFT_SQL),
        partial(_correct_counters, "posts_post", _POST_DRIFT_SQL),
    ),
    CounterRepair(
        "like counts of comments",
        Comment,
        partial(_query_drift, _COMMENT_DRIFT_SQL),
        partial(_correct_counters, "posts_comment", _COMMENT_DRIFT_SQL),
    ),
)
