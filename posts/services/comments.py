"""Create, delete, hide and restore comments. Each function is one transaction unless it says otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from django.db import transaction
from django.utils import timezone

from posts import counters, mentions
from posts.counters import Counts
from posts.models import Comment, CommentLike
from posts.services.row_locks import lock_comment, lock_post
from social import notifications
from social.notifications import Event
from social.services.locks import retry_on_conflict


@transaction.atomic
def create_comment(author_id: int, post_id: int, post_author_id: int, text: str, reply_to: Comment | None) -> Comment:
    """Create a comment on a post that its author can see; `reply_to` is a comment on the same post.

    Raises Http404 if the post or `reply_to` no longer exists.
    """
    lock_post(post_id)
    reply_to_id = reply_to.pk if reply_to else None
    if reply_to_id is not None:
        lock_comment(reply_to_id)
    comment = Comment.objects.create(author_id=author_id, post_id=post_id, text=text, reply_to_id=reply_to_id)
    # One notification per recipient: a reply overrides a mention, a mention overrides a comment.
    kinds = {post_author_id: "comment"}
    kinds |= dict.fromkeys(mentions.get_mentioned_users(text).values(), "mention")
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
    """Delete a comment and its likes; replies stay, with `reply_to` null. Return False if it was already deleted."""
    comment = Comment.objects.select_for_update().filter(pk=comment_id).first()
    if comment is None:
        return False
    erase_comments([comment])
    return True


def hide_comment(comment_id: int, *, notify_author: bool = True) -> bool:
    """Hide a comment from all viewers and from its post's count, and by default notify its author.

    Return False if it is hidden or deleted already.
    """
    return _set_hidden(comment_id, hidden=True, notify_author=notify_author)


def restore_comment(comment_id: int) -> bool:
    """Show a hidden comment again, in its old place. Return False if it was not hidden."""
    return _set_hidden(comment_id, hidden=False)


@transaction.atomic
def _set_hidden(comment_id: int, *, hidden: bool, notify_author: bool = True) -> bool:
    """Lock the comment's row before its post's counter, in the same order as deletions and the purge do."""
    comments = Comment.objects.select_for_update(no_key=True).filter(pk=comment_id, hidden_at__isnull=hidden)
    comment = comments.first()
    if comment is None:
        return False
    Comment.objects.filter(pk=comment_id).update(hidden_at=timezone.now() if hidden else None)
    if notify_author:
        event = Event("content_hidden", comment.author_id, comment.author_id, comment.post_id, comment_id)
        (notifications.announce if hidden else notifications.retract)(event)
    counters.increment(comment.post_id, comments=-1 if hidden else 1)
    return True


def erase_comments(comments: Collection[Comment]) -> None:
    """Delete comments that the current transaction has locked, with their likes, counters and notifications.

    Also locks the replies. These may belong to another account that is being erased, so callers retry on a deadlock.
    """
    ids = [comment.pk for comment in comments]
    CommentLike.objects.filter(comment__in=ids).delete()
    Comment.objects.filter(pk__in=ids).delete()
    notifications.delete_for_comments(ids)
    counters.delete_counters(ids)
    # Hidden comments are not counted already.
    removed = Counter(comment.post_id for comment in comments if comment.hidden_at is None)
    counters.increment_many({post_id: Counts(comments=-number) for post_id, number in removed.items()})
