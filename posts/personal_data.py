"""What posts hold about a user (see `accounts.personal_data_registry`)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet

from accounts.personal_data_registry import (
    PersonalDataCategory,
    Row,
    delete_locked_rows,
    erase_rows,
    iterate_chunks,
    lock_chunk,
    register,
)
from instafeed.core.cache import keys
from posts import counters, entities, purge, services
from posts.counters import Counts
from posts.models import Case, Comment, CommentLike, Like, Post, PostMedia, Report, Save, TargetType
from social.services.locks import retry_on_conflict

PURGE_POLL_INTERVAL = 0.05  # seconds, while somebody else purges the last posts


def export_posts(user_id: int) -> Iterator[Row]:
    """Every post, those included that a moderator has hidden."""
    posts = Post.objects.filter(author=user_id, deleted_at=None)
    for chunk in iterate_chunks(posts.values("id", "caption", "created_at", "edited_at", "hidden_at"), "id"):
        post_ids = [post["id"] for post in chunk]
        counts, pictures = counters.fetch_counts(post_ids), _load_media_ids(post_ids)
        for post in chunk:
            yield {
                **post,
                "id": str(post["id"]),
                "hashtags": entities.extract_hashtags(post["caption"]),
                "mentions": entities.extract_mentions(post["caption"]),
                "media": pictures[post["id"]],
                "like_count": counts[post["id"]].likes,
                "comment_count": counts[post["id"]].comments,
            }


def _load_media_ids(post_ids: list[int]) -> dict[int, list[Row]]:
    """By post; what else is known of them stands in the section of media."""
    places = PostMedia.objects.using(DEFAULT_DB_ALIAS).filter(post__in=post_ids).select_related("media")
    found = defaultdict(list)
    for place in places.order_by("post", "position"):
        found[place.post_id].append({"id": str(place.media_id)})
    return found


def export_comments(user_id: int) -> Iterator[Row]:
    comments = Comment.objects.filter(author=user_id)
    return _export_rows(comments.values("id", "post_id", "reply_to_id", "text", "created_at", "hidden_at"), "id")


def export_likes(user_id: int) -> Iterator[Row]:
    return _export_rows(Like.objects.filter(user=user_id).values("post_id", "created_at"), "post_id")


def export_comment_likes(user_id: int) -> Iterator[Row]:
    return _export_rows(CommentLike.objects.filter(user=user_id).values("comment_id", "created_at"), "comment_id")


def export_saves(user_id: int) -> Iterator[Row]:
    return _export_rows(Save.objects.filter(user=user_id).values("post_id", "created_at"), "post_id")


def export_reports(user_id: int) -> Iterator[Row]:
    """What the user told the moderators."""
    reports = Report.objects.filter(reporter=user_id)
    return _export_rows(reports.values("id", "target_type", "target_id", "reason", "note", "created_at"), "id")


def _export_rows(rows: QuerySet[Any, Any], by: str) -> Iterator[Row]:
    """As they are, with ids as texts."""
    for chunk in iterate_chunks(rows, by):
        for row in chunk:
            yield {name: str(value) if isinstance(value, int) else value for name, value in row.items()}


def erase_posts(user_id: int) -> bool:
    """By the purge, which takes along what others have hung on them; beat's may be at it as well."""
    if not purge.mark_posts_deleted(user_id) or purge.purge_batch(user_id):
        return False
    if not Post.objects.filter(author=user_id).exists():
        return True
    time.sleep(PURGE_POLL_INTERVAL)
    return False


@retry_on_conflict  # from a deadlock with somebody whose comments answer these, and are erased at the same time
@transaction.atomic
def erase_comments(user_id: int) -> bool:
    """Their likes first, which may be many."""
    comments, is_last = lock_chunk(Comment.objects.filter(author=user_id))
    likes, are_last = lock_chunk(CommentLike.objects.filter(comment__in=comments))
    delete_locked_rows(likes)
    if are_last:
        services.erase_comments(comments)
    return is_last and are_last


@transaction.atomic
def erase_likes(user_id: int) -> bool:
    likes, is_last = lock_chunk(Like.objects.filter(user=user_id))
    delete_locked_rows(likes)
    counters.increment_many({like.post_id: Counts(likes=-1) for like in likes})
    return is_last


@transaction.atomic
def erase_comment_likes(user_id: int) -> bool:
    likes, is_last = lock_chunk(CommentLike.objects.filter(user=user_id))
    delete_locked_rows(likes)
    counters.increment_many({like.comment_id: Counts(likes=-1) for like in likes})
    return is_last


def erase_saves(user_id: int) -> bool:
    return erase_rows(Save.objects.filter(user=user_id))


def erase_reports(user_id: int) -> bool:
    return erase_rows(Report.objects.filter(reporter=user_id))


def erase_reports_about(user_id: int) -> bool:
    """What others told of the account itself; what they told of its posts names nobody any more."""
    return erase_rows(Report.objects.filter(target_type=TargetType.USER, target_id=user_id))


def erase_cases(user_id: int) -> bool:
    """Cases of the account and of what it wrote: there is nothing left to act on. What was done stays in the log."""
    return erase_rows(Case.objects.filter(user_id=user_id))


def redis_keys(user_id: int) -> Iterable[str]:
    return [keys.viewer_flags(user_id)]


def register_categories() -> None:
    register(
        PersonalDataCategory("posts", ["posts.Post.author"], export_posts, erase_posts),
        PersonalDataCategory("comments", ["posts.Comment.author"], export_comments, erase_comments),
        PersonalDataCategory("likes", ["posts.Like.user"], export_likes, erase_likes),
        PersonalDataCategory("comment_likes", ["posts.CommentLike.user"], export_comment_likes, erase_comment_likes),
        PersonalDataCategory("saved", ["posts.Save.user"], export_saves, erase_saves),
        PersonalDataCategory("reports", ["posts.Report.reporter"], export_reports, erase_reports),
        # Who reported somebody is nobody else's affair.
        PersonalDataCategory("reports_about", ["posts.Report.target_id"], erase=erase_reports_about),
        PersonalDataCategory("cases", ["posts.Case.user_id", "posts.Case.target_id"], erase=erase_cases),
        redis_keys=redis_keys,
    )
