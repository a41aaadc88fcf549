"""Purge deleted posts with all their rows, in bounded batches that may stop anywhere.

A post is invisible as soon as it is deleted; purging only frees the space. Its likes and comments are not subtracted
from any count, because its counters are deleted too.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from accounts.models import User
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from media import services as media
from posts import counters, hashtag_index
from posts.models import Comment, CommentLike, Like, Post, PostMedia, Save
from social import notifications

POST_BATCH_SIZE = 100  # posts purged at once
ROW_BATCH_SIZE = 1_000  # rows deleted at once

purge_task = CoalescedTask(queues.PURGE_POSTS)


def sweep() -> None:
    """Request the task if deleted posts are left."""
    if Post.objects.using(DEFAULT_DB_ALIAS).filter(deleted_at__isnull=False).exists():
        purge_task.request()


def mark_posts_deleted(author_id: int) -> bool:
    """Mark up to ROW_BATCH_SIZE posts of an author as deleted, for erasure. Return True when none is left unmarked."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).only("pk").get(pk=author_id)
        posts = Post.objects.filter(author_id=author_id, deleted_at=None).order_by("pk")
        post_ids = list(posts.values_list("pk", flat=True)[:ROW_BATCH_SIZE])
        Post.objects.filter(pk__in=post_ids).update(deleted_at=timezone.now())
        invalidate(map(keys.post_card, post_ids))
    return len(post_ids) < ROW_BATCH_SIZE


def purge_batch(author_id: int | None = None) -> bool:
    """Purge one batch of rows of deleted posts, optionally of one author. Return False if there was nothing to do.

    Skips posts locked by another purge, or by a like that is being written.
    """
    with transaction.atomic():
        deleted = Post.objects.filter(deleted_at__isnull=False)
        if author_id is not None:
            deleted = deleted.filter(author_id=author_id)
        locked = deleted.order_by("pk").select_for_update(skip_locked=True, of=("self",))
        post_ids = list(locked.values_list("pk", flat=True)[:POST_BATCH_SIZE])
        if not post_ids:
            return False
        if not (_purge_reactions(post_ids) or _purge_comments(post_ids)):
            _purge_posts(post_ids)
    return True


def _purge_reactions(post_ids: list[int]) -> bool:
    """Delete some likes or saves. Return False if none was left."""
    for model in (Like, Save):
        rows = model._default_manager.filter(post_id__in=post_ids)
        batch = list(rows.values_list("pk", flat=True)[:ROW_BATCH_SIZE])
        if batch:
            model._default_manager.filter(pk__in=batch).delete()
            return True
    return False


def _purge_comments(post_ids: list[int]) -> bool:
    """Delete some comments, their likes first. Return False if no comment was left."""
    ids = list(
        Comment.objects.filter(post_id__in=post_ids).order_by("pk").values_list("pk", flat=True)[:ROW_BATCH_SIZE]
    )
    likes = list(CommentLike.objects.filter(comment_id__in=ids).values_list("pk", flat=True)[:ROW_BATCH_SIZE])
    if likes:
        CommentLike.objects.filter(pk__in=likes).delete()
    elif ids:
        Comment.objects.filter(pk__in=ids).delete()
        counters.delete_counters(ids)
        notifications.delete_for_comments(ids)
    return bool(ids)


def _purge_posts(post_ids: list[int]) -> None:
    """Delete posts that have no reactions and comments left, and release their media."""
    hashtag_index.remove_posts(post_ids)
    pictures = PostMedia.objects.filter(post_id__in=post_ids)
    media_ids = list(pictures.values_list("media_id", flat=True))
    pictures.delete()
    media.delete_for_posts(media_ids)
    counters.delete_counters(post_ids)
    notifications.delete_for_posts(post_ids)
    # Rows of apps above this one (fan-outs) are deleted by Django's cascade.
    Post.objects.filter(pk__in=post_ids).delete()
