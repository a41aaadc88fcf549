"""Export and erase the personal data of this app (see `accounts.personal_data_registry`).

Each `erase_*` function deletes one chunk and returns True when nothing is left.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q, QuerySet

from accounts.personal_data_registry import (
    CHUNK_SIZE,
    PersonalDataCategory,
    Row,
    delete_locked_rows,
    erase_rows,
    iterate_chunks,
    lock_chunk,
    register,
)
from instafeed.core.api.formats import optional_id
from instafeed.core.cache import keys
from posts import counters, entities, notification_list, purge, services
from posts.counters import Counts
from posts.export_rows import (
    ExportedCommentLikeSerializer,
    ExportedCommentSerializer,
    ExportedNotificationSerializer,
    ExportedPostMarkSerializer,
    ExportedPostSerializer,
    ExportedReportSerializer,
)
from posts.models import Case, Comment, CommentLike, Like, Note, Post, PostMedia, PostMention, Report, Save, TargetType
from posts.permalinks import permalink
from social import notifications
from social.services.locks import retry_on_conflict

PURGE_POLL_INTERVAL = 0.05  # seconds between checks while another process purges the last posts


def export_posts(user_id: int) -> Iterator[Row]:
    """Yield every post, including those hidden by a moderator."""
    posts = Post.objects.filter(author=user_id, deleted_at=None)
    for chunk in iterate_chunks(posts.values("id", "caption", "created_at", "edited_at", "hidden_at"), "id"):
        post_ids = [post["id"] for post in chunk]
        counts, media_ids = counters.fetch_counts(post_ids), _load_media_ids(post_ids)
        for post in chunk:
            yield {
                **post,
                "id": str(post["id"]),
                "hashtags": entities.extract_hashtags(post["caption"]),
                "mentions": entities.extract_mentions(post["caption"]),
                "media": media_ids[post["id"]],
                "like_count": counts[post["id"]].likes,
                "comment_count": counts[post["id"]].comments,
                "url": permalink(post["id"]),
            }


def _load_media_ids(post_ids: list[int]) -> dict[int, list[Row]]:
    """Return the media ids of each post. The export's media section has their details."""
    links = PostMedia.objects.using(DEFAULT_DB_ALIAS).filter(post__in=post_ids)
    found = defaultdict(list)
    for link in links.order_by("post", "position"):
        found[link.post_id].append({"id": str(link.media_id)})
    return found


def export_comments(user_id: int) -> Iterator[Row]:
    comments = Comment.objects.filter(author=user_id)
    return _export_rows(comments.values("id", "post_id", "reply_to_id", "text", "created_at", "hidden_at"), "id")


def export_likes(user_id: int) -> Iterator[Row]:
    return _export_rows(Like.objects.filter(user=user_id).values("post_id", "created_at"), "post_id")


def export_comment_likes(user_id: int) -> Iterator[Row]:
    return _export_rows(CommentLike.objects.filter(user=user_id).values("comment_id", "created_at"), "comment_id")


# The export of entries includes their actors and the read state.
NOTIFICATIONS = (
    *("social.Notification.recipient_id", "social.NotificationActor.actor_id", "social.NotificationState.user_id"),
    *("social.NotificationEvent.recipient_id", "social.NotificationEvent.actor_id"),
)


def export_notifications(user_id: int) -> Iterator[Row]:
    """Yield the notifications that the user can see: those about hidden posts and comments are left out.

    Those that the user has dismissed come last.
    """
    for dismissed in (False, True):
        for entry in notification_list.iterate_visible(user_id, CHUNK_SIZE, dismissed=dismissed):
            yield {
                "kind": entry.kind,
                "actor_ids": [str(actor_id) for actor_id in entry.actor_ids],
                "actor_count": entry.actor_count,
                "post_id": optional_id(entry.post_id),
                "comment_id": optional_id(entry.comment_id),
                "created_at": entry.created_at,
                "read": entry.read,
                "dismissed": dismissed,
            }


def export_saves(user_id: int) -> Iterator[Row]:
    return _export_rows(Save.objects.filter(user=user_id).values("post_id", "created_at"), "post_id")


def export_reports(user_id: int) -> Iterator[Row]:
    """Yield the reports that the user filed."""
    reports = Report.objects.filter(reporter=user_id)
    return _export_rows(reports.values("id", "target_type", "target_id", "reason", "note", "created_at"), "id")


def _export_rows(rows: QuerySet[Any, Any], by: str) -> Iterator[Row]:
    """Yield rows unchanged, except for ids, which become strings."""
    for chunk in iterate_chunks(rows, by):
        for row in chunk:
            yield {name: str(value) if isinstance(value, int) else value for name, value in row.items()}


def erase_posts(user_id: int) -> bool:
    """Delete and purge the user's posts with the reactions of others. The purge task may work on them too."""
    if not purge.mark_posts_deleted(user_id) or purge.purge_batch(user_id):
        return False
    if not Post.objects.filter(author=user_id).exists():
        return True
    time.sleep(PURGE_POLL_INTERVAL)
    return False


@retry_on_conflict  # may deadlock with the erasure of another user whose comments reply to these
@transaction.atomic
def erase_comments(user_id: int) -> bool:
    """Delete the likes of the comments first: there may be many."""
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


def erase_mentions(user_id: int) -> bool:
    return erase_rows(PostMention.objects.filter(user=user_id))


def erase_saves(user_id: int) -> bool:
    return erase_rows(Save.objects.filter(user=user_id))


def erase_reports(user_id: int) -> bool:
    return erase_rows(Report.objects.filter(reporter=user_id))


def erase_reports_about(user_id: int) -> bool:
    """Delete reports about the account itself. Reports about its posts identify no one once the posts are deleted."""
    return erase_rows(Report.objects.filter(target_type=TargetType.USER, target_id=user_id))


def erase_notes(user_id: int) -> bool:
    return erase_rows(Note.objects.filter(user_id=user_id))


@transaction.atomic
def erase_cases(user_id: int) -> bool:
    """Delete the cases of the account and of its content, and the texts in their reports.

    The audit log keeps what moderators did.
    """
    cases, is_last = lock_chunk(Case.objects.filter(user_id=user_id))
    ids = defaultdict(list)
    for case in cases:
        ids[case.target_type].append(case.target_id)
    is_about = Q(*(Q(target_type=type_, target_id__in=targets) for type_, targets in ids.items()), _connector=Q.OR)
    reports, are_last = lock_chunk(Report.objects.filter(is_about).exclude(text="")) if cases else ([], True)
    Report.objects.filter(pk__in=[report.pk for report in reports]).update(text="")
    if are_last:
        delete_locked_rows(cases)
    return is_last and are_last


def redis_keys(user_id: int) -> Iterable[str]:
    return [keys.viewer_flags(user_id)]


def register_categories() -> None:
    register(
        # Of social, but only posts can tell which entries are visible. Erased after what announces and retracts them.
        PersonalDataCategory(
            "notifications",
            NOTIFICATIONS,
            export_notifications,
            notifications.delete_for_user,
            ExportedNotificationSerializer,
        ),
        PersonalDataCategory("posts", ["posts.Post.author"], export_posts, erase_posts, ExportedPostSerializer),
        PersonalDataCategory(
            "comments", ["posts.Comment.author"], export_comments, erase_comments, ExportedCommentSerializer
        ),
        PersonalDataCategory("likes", ["posts.Like.user"], export_likes, erase_likes, ExportedPostMarkSerializer),
        PersonalDataCategory(
            "comment_likes",
            ["posts.CommentLike.user"],
            export_comment_likes,
            erase_comment_likes,
            ExportedCommentLikeSerializer,
        ),
        # Not exported: the posts are of others, and the user may not see all of them.
        PersonalDataCategory("mentions", ["posts.PostMention.user"], erase=erase_mentions),
        PersonalDataCategory("saved", ["posts.Save.user"], export_saves, erase_saves, ExportedPostMarkSerializer),
        PersonalDataCategory(
            "reports", ["posts.Report.reporter"], export_reports, erase_reports, ExportedReportSerializer
        ),
        # Not exported: the reporters stay anonymous.
        PersonalDataCategory("reports_about", ["posts.Report.target_id"], erase=erase_reports_about),
        # Not exported: moderators write them for each other.
        PersonalDataCategory("notes", ["posts.Note.user_id", "posts.Note.target_id"], erase=erase_notes),
        PersonalDataCategory("cases", ["posts.Case.user_id", "posts.Case.target_id"], erase=erase_cases),
        redis_keys=redis_keys,
    )
