"""Posts with pending media: visible to their author only until every picture is processed.

Feeds do not treat such a post specially. It is fanned out as usual, and readers leave it out while media are pending.
Once the last picture is ready, the post appears in its place in every list at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.dispatch import receiver

from instafeed.core.cache import hints, keys
from instafeed.core.cache.hints import HintKind
from instafeed.core.cache.invalidation import invalidate
from media.models import Status
from media.signals import media_changed
from posts import mentions
from posts.models import Post, PostMedia
from posts.services.posts import change_post_count
from social import notifications
from social.notifications import Event


@receiver(media_changed)
def update_posts_on_media_changed(media_ids: Sequence[int], **_: Any) -> None:
    """Publish posts whose last picture is ready, and invalidate the cards of all posts with these media."""
    post_ids = PostMedia.objects.filter(media__in=media_ids).values_list("post_id", flat=True)
    # Skip deleted posts: their purge holds their row locks and waits for the media rows that are locked here.
    existing = Post.objects.filter(pk__in=list(post_ids), deleted_at=None)
    # Lock the posts before reading the status of their other media: if two pictures become ready at once, the second
    # transaction sees the first one's status.
    posts = list(existing.select_for_update(no_key=True).order_by("pk"))
    for post in posts:
        if post.media_pending:
            _update_pending_post(post, set(media_ids))
    invalidate(keys.post_card(post.pk) for post in posts)


def _update_pending_post(post: Post, changed: set[int]) -> None:
    """Publish the post if all its media are ready; notify its author if one of the changed media failed.

    The sender of the signal has locked the author's row, which publishing changes.
    """
    statuses = dict(post.post_media_set.values_list("media_id", "media__status"))
    if all(status == Status.READY for status in statuses.values()):
        post.media_pending = False
        mentions.update_caption_mentions(post)
        post.save(update_fields=["media_pending"])
        change_post_count(post.author_id, 1)
        # It was delivered while no one could see it.
        hint = {HintKind.AUTHORS: [post.author_id], HintKind.FEEDS: [post.author_id]}
        transaction.on_commit(lambda: hints.publish(hint), robust=True)
    elif any(status == Status.FAILED and media_id in changed for media_id, status in statuses.items()):
        notifications.announce(Event("media_failed", post.author_id, post.author_id, post.pk))
