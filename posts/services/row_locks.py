"""Lock the rows that a write refers to, so that they cannot be deleted or purged before the write commits.

A foreign key takes the same lock, but only at the commit. By then the writer holds counter rows that the deletion waits
for, and the two would deadlock. Taken first, the lock makes one of them wait for the other.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections
from django.http import Http404

# Raw SQL: the ORM has no FOR KEY SHARE, which any number of writers can hold at once.
_LOCK_POST_SQL = "SELECT FROM posts_post WHERE id = %s AND deleted_at IS NULL AND hidden_at IS NULL FOR KEY SHARE"
# What a user made can be withdrawn while it is hidden too.
_LOCK_WITHDRAWN_POST_SQL = "SELECT author_id FROM posts_post WHERE id = %s AND deleted_at IS NULL FOR KEY SHARE"
_LOCK_WITHDRAWN_COMMENT_SQL = "SELECT author_id, post_id FROM posts_comment WHERE id = %s FOR KEY SHARE"
_LOCK_ACCOUNT_SQL = "SELECT FROM accounts_user WHERE id = %s AND deleted_at IS NULL FOR KEY SHARE"
_LOCK_COMMENT_SQL = "SELECT FROM posts_comment WHERE id = %s AND hidden_at IS NULL FOR KEY SHARE"


def lock_post(post_id: int) -> None:
    """Lock the post until the current transaction ends. Raises Http404 if it is deleted or hidden."""
    _lock_row(_LOCK_POST_SQL, post_id)


def lock_comment(comment_id: int) -> None:
    """Lock the comment until the current transaction ends. Raises Http404 if it is deleted or hidden."""
    _lock_row(_LOCK_COMMENT_SQL, comment_id)


def lock_post_to_withdraw(post_id: int) -> int:
    """Lock the post, hidden or not, and return its author's id. Raises Http404 if it is deleted."""
    (author_id,) = _lock_row(_LOCK_WITHDRAWN_POST_SQL, post_id)
    return author_id


def lock_comment_to_withdraw(comment_id: int) -> tuple[int, int]:
    """Lock the comment, hidden or not, and return the ids of its author and post. Raises Http404 if it is deleted."""
    author_id, post_id = _lock_row(_LOCK_WITHDRAWN_COMMENT_SQL, comment_id)
    return author_id, post_id


def lock_account(user_id: int) -> None:
    """Lock the account until the current transaction ends. Raises Http404 if it is deleted or being erased."""
    _lock_row(_LOCK_ACCOUNT_SQL, user_id)


def _lock_row(statement: str, id_: int) -> tuple[int, ...]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement, [id_])
        if not cursor.rowcount:
            raise Http404
        row: tuple[int, ...] = cursor.fetchone()
        return row
