"""Writing and deleting comments. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.utils import timezone

from posts import counters, mentions
from posts.models import Comment, CommentLike
from posts.services.row_locks import lock_comment, lock_post
from social import notifications
from social.notifications import Event
from social.services.locks import retry_on_conflict


@transaction.atomic
def create_comment(author_id: int, post_id: int, post_author_id: int, text: str, reply_to: Comment | None) -> Comment:
    """A new comment on a post that its author sees; `reply_to` is a comment on the same post that they see.

    Raises Http404 if either is gone by now.
    """
    lock_post(post_id)
    answered = reply_to.pk if reply_to else None
    if answered is not None:
        lock_comment(answered)
    comment = Comment.objects.create(author_id=author_id, post_id=post_id, text=text, reply_to_id=answered)
    # Everybody is told once: of a reply rather than of being mentioned, and of that rather than of a comment.
    kinds = {post_author_id: "comment"}
    kinds |= dict.fromkeys(mentions.get_mentioned_user_ids(text), "mention")
    if reply_to:
        kinds[reply_to.author_id] = "reply"
    notifications.announce(
        *(Event(kind, recipient, author_id, post_id, comment.pk) for recipient, kind in kinds.items())
    )
    counters.increment(post_id, comments=1)
    return comment


@retry_on_conflict
@transaction.atomic
def delete_comment(comment_id: int) -> bool:
    """Delete a comment and its likes; replies stay and answer nothing then. False if it is gone already."""
    comment = Comment.objects.select_for_update().filter(pk=comment_id).first()
    if comment is None:
        return False
    erase_comments([comment])
    return True


def hide_comment(comment_id: int) -> bool:
    """Take a comment out of everybody's sight and count; False if it is hidden or gone already."""
    return _set_hidden(comment_id, hidden=True)


def restore_comment(comment_id: int) -> bool:
    """Bring a hidden comment back, in its old place; False if it was not hidden."""
    return _set_hidden(comment_id, hidden=False)


@transaction.atomic
def _set_hidden(comment_id: int, *, hidden: bool) -> bool:
    """The comment's row is locked before its post's counter, as by whoever deletes or purges either."""
    comments = Comment.objects.select_for_update(no_key=True).filter(pk=comment_id, hidden_at__isnull=hidden)
    comment = comments.first()
    if comment is None:
        return False
    Comment.objects.filter(pk=comment_id).update(hidden_at=timezone.now() if hidden else None)
    counters.increment(comment.post_id, comments=-1 if hidden else 1)
    return True


def erase_comments(comments: Collection[Comment]) -> None:
    """Delete comments that the current transaction has locked, and all that hangs on them.

    Locks the replies as well, which may be somebody else's that are being erased: a deadlock is to be retried.
    """
    ids = [comment.pk for comment in comments]
    CommentLike.objects.filter(comment__in=ids).delete()
    Comment.objects.filter(pk__in=ids).delete()
    notifications.delete_for_comments(ids)
    counters.delete_counters(ids)
    counters.increment_many(_count_removed_comments(comments))


def _count_removed_comments(comments: Collection[Comment]) -> dict[int, counters.Counts]:
    """By post. What a moderator has hidden is not counted any more."""
    gone: dict[int, int] = {}
    for comment in comments:
        if comment.hidden_at is None:
            gone[comment.post_id] = gone.get(comment.post_id, 0) + 1
    return {post_id: counters.Counts(comments=-number) for post_id, number in gone.items()}
