"""Create, edit, delete, hide and restore posts. Each function is one transaction.

`Post`'s `post_save` signal adds a new post to the fan-out outbox in the same transaction (feeds.receivers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from accounts.tokens import TokenRefused
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from media import relocation
from media import services as media
from media.models import Status
from posts import hashtag_index, mentions
from posts.models import Post, PostMedia
from social import notifications
from social.notifications import Event


class EmptyPost(ValueError):
    """A post without text and without media."""


@transaction.atomic(savepoint=False)
def create_post(author_id: int, caption: str, media_ids: Sequence[int] = ()) -> Post:
    """Create a post and return it with its `media_links`; its fan-out commits with it.

    `media_ids` are distinct. Raises UnknownMedia or UnusableMedia; then the transaction around it cannot commit.
    While any of its media are still being processed, the post is visible to its author only (posts.media_pending).
    """
    if not change_post_count(author_id, 1):
        raise TokenRefused  # the account was erased after the token was checked
    pictures = media.attach(author_id, media_ids)
    media_pending = any(picture.status != Status.READY for picture in pictures)
    post = Post.objects.create(author_id=author_id, caption=caption, media_pending=media_pending)
    post.media_links = PostMedia.objects.bulk_create(
        PostMedia(post=post, position=position, media=picture) for position, picture in enumerate(pictures)
    )
    if media_pending:
        change_post_count(author_id, -1)
    else:
        mentions.announce_caption_mentions(post)
    hashtag_index.index_new_post(post.pk, caption)
    return post


@transaction.atomic
def edit_post(post_id: int, caption: str) -> None:
    """Change the caption; do nothing if the post is deleted or has this caption already.

    Raises EmptyPost if the post would have no content.
    """
    if not caption.strip() and not PostMedia.objects.filter(post_id=post_id).exists():
        raise EmptyPost("A post needs a caption or media.")
    post = Post.objects.select_for_update(no_key=True).filter(pk=post_id, deleted_at=None).first()
    if post is None or post.caption == caption:
        return
    post.caption, post.edited_at = caption, timezone.now()
    mentions.update_caption_mentions(post)
    post.save(update_fields=["caption", "edited_at"])
    hashtag_index.index_caption(post_id, caption)
    invalidate([keys.post_card(post_id)])


@transaction.atomic
def delete_post(post_id: int, author_id: int) -> bool:
    """Delete a post permanently. Return False if it is deleted already. Lists keep its id; readers skip it.

    The purge task deletes its rows, which may include a million likes, in the background (posts.purge).
    """
    _lock_author(author_id)
    posts = Post.objects.filter(pk=post_id, author_id=author_id, deleted_at=None)
    # The owner's row is locked while media change, so the post cannot be published in between.
    media_pending = posts.values_list("media_pending", flat=True).first()
    if not posts.update(deleted_at=timezone.now()):
        return False
    if not media_pending:
        change_post_count(author_id, -1)
    invalidate([keys.post_card(post_id)])
    return True


def change_post_count(author_id: int, change: Literal[1, -1]) -> bool:
    """Count a post that is published or deleted. Posts with pending media do not count: only their author sees them.

    This locks the author's row like `_lock_author`. Return False if it does not exist, or has no posts to subtract.
    """
    authors = User.objects.filter(pk=author_id)
    authors = authors.filter(post_count__gt=0) if change < 0 else authors
    return bool(authors.update(post_count=F("post_count") + change))


def hide_post(post_id: int, *, notify_author: bool = True) -> bool:
    """Hide a post from all viewers, its author included, who can delete it and is notified by default.

    Return False if it is hidden or deleted already.
    """
    return _set_hidden(post_id, hidden=True, notify_author=notify_author)


def restore_post(post_id: int) -> bool:
    """Show a hidden post again, in its old place. Return False if it was not hidden."""
    return _set_hidden(post_id, hidden=False)


@transaction.atomic
def _set_hidden(post_id: int, *, hidden: bool, notify_author: bool = True) -> bool:
    author_id = Post.objects.filter(pk=post_id).values_list("author_id", flat=True).first()
    if author_id is None:
        return False
    _lock_author(author_id)
    posts = Post.objects.filter(pk=post_id, hidden_at__isnull=hidden, deleted_at=None)
    if not posts.update(hidden_at=timezone.now() if hidden else None):
        return False
    pictures = PostMedia.objects.filter(post_id=post_id).values_list("media_id", flat=True)
    relocation.set_withheld(pictures, author_id, withheld=hidden)
    if notify_author:
        event = Event("content_hidden", author_id, author_id, post_id)
        (notifications.announce if hidden else notifications.retract)(event)
    invalidate([keys.post_card(post_id)])
    return True


def _lock_author(author_id: int) -> bool:
    """Lock the author's row; return False if it does not exist.

    All writers of posts do this first: transactions that lock in different orders deadlock.
    """
    return User.objects.select_for_update(no_key=True).only("pk").filter(pk=author_id).first() is not None
