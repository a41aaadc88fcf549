"""Taking away what hangs on deleted posts, in bounded slices that may stop anywhere.

A deleted post is invisible from its deletion on; this only frees the space. Nothing is counted down for its
likes and comments: the counters go with it.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from media import services as media
from posts import counters
from posts.models import Comment, CommentLike, Like, Post, PostHashtag, PostMedia, Save
from social import notifications

POST_BATCH_SIZE = 100  # purged at once
ROW_BATCH_SIZE = 1_000  # deleted at once


def mark_posts_deleted(author_id: int) -> bool:
    """Mark some of the author's posts as deleted; True when none is left unmarked. For erasure."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).only("pk").get(pk=author_id)
        posts = Post.objects.filter(author_id=author_id, deleted_at=None).order_by("pk")
        post_ids = list(posts.values_list("pk", flat=True)[:ROW_BATCH_SIZE])
        Post.objects.filter(pk__in=post_ids).update(deleted_at=timezone.now())
        invalidate(map(keys.post_card, post_ids))
    return len(post_ids) < ROW_BATCH_SIZE


def purge_batch(author_id: int | None = None) -> bool:
    """One bounded piece of work on deleted posts, perhaps of one author; False when there was nothing to do.

    Posts in the hands of another purger, or held by a like that is just being written, are left for later.
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
    """Some likes and saves; False when none was left."""
    for model in (Like, Save):
        rows = model._default_manager.filter(post_id__in=post_ids)
        some = list(rows.values_list("pk", flat=True)[:ROW_BATCH_SIZE])
        if some:
            model._default_manager.filter(pk__in=some).delete()
            return True
    return False


def _purge_comments(post_ids: list[int]) -> bool:
    """Some comments with their likes; False when none was left."""
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
    PostHashtag.objects.filter(post_id__in=post_ids).delete()
    pictures = PostMedia.objects.filter(post_id__in=post_ids)
    media_ids = list(pictures.values_list("media_id", flat=True))
    pictures.delete()
    media.delete_for_posts(media_ids)
    counters.delete_counters(post_ids)
    notifications.delete_for_posts(post_ids)
    # What is above takes its own rows along (the fan-outs), by Django's cascade.
    Post.objects.filter(pk__in=post_ids).delete()
