"""Posts that wait for their pictures: until all are ready, they exist for their authors only.

Feeds need not know of it. The fan-out runs as ever, and what a list holds is dropped at read while the post waits: it
appears in its place, everywhere at once, the moment that the last picture is ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver

from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from media.models import Status
from media.signals import media_changed
from posts import mentions
from posts.models import Post, PostMedia
from social import notifications
from social.notifications import Event


@receiver(media_changed)
def update_posts_on_media_changed(media_ids: Sequence[int], **_: Any) -> None:
    """Cards show what became of the pictures; posts whose last one is ready wait no more."""
    post_ids = PostMedia.objects.filter(media__in=media_ids).values_list("post_id", flat=True)
    # Not the deleted ones: their purge has them locked, and waits for the pictures that are locked here.
    there = Post.objects.filter(pk__in=list(post_ids), deleted_at=None)
    # Locked before the others' status is read: of two pictures that are ready at once, the second sees the first.
    posts = list(there.select_for_update(no_key=True).order_by("pk"))
    for post in posts:
        if post.waiting:
            _update_pending_post(post, set(media_ids))
    invalidate(keys.post_card(post.pk) for post in posts)


def _update_pending_post(post: Post, changed: set[int]) -> None:
    statuses = dict(post.post_media_set.values_list("media_id", "media__status"))
    if all(status == Status.READY for status in statuses.values()):
        post.waiting = False
        post.save(update_fields=["waiting"])
        notifications.announce(*mentions.build_mention_events(post, mentions.get_mentioned_user_ids(post.caption)))
    elif any(status == Status.FAILED and media_id in changed for media_id, status in statuses.items()):
        notifications.announce(Event("media_failed", post.author_id, post.author_id, post.pk))
