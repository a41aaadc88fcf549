"""Posts, comments and accounts as a moderator sees them: including private, hidden and deleted ones.

A page of targets is loaded in at most four queries. Picture URLs are signed on access, because the media of hidden
posts are private.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS

from accounts import avatar_storage
from accounts.follower_counts import with_pending_counts
from accounts.models import User
from media import storage, variants
from media.models import Media, Status
from posts.models import Case, CaseState, Comment, Post, PostMedia, TargetType
from posts.moderation.history import ModerationHistory
from posts.reported_texts import format_post, format_profile
from posts.services import Target

THUMBNAIL_SIZE, FULL_SIZE = 150, 1080
MAX_EXCERPT_LENGTH = 140  # characters


@dataclass(frozen=True)
class Picture:
    """A picture of a post."""

    media: Media

    @property
    def url(self) -> str | None:
        return _get_url(self.media, FULL_SIZE)

    @property
    def status(self) -> str:
        return Status(self.media.status).label


@dataclass(frozen=True)
class TargetSnapshot:
    """The current state of one target, with its case if it was reported."""

    target: Target
    author: User | None  # None once the account is erased
    gone_reason: str = ""  # why the target no longer exists; empty if it does
    text: str = ""
    pictures: Sequence[Picture] = ()
    hidden_at: datetime | None = None
    created_at: datetime | None = None
    post_id: int | None = None  # of a comment
    case: Case | None = field(default=None, compare=False)
    history: ModerationHistory = field(default_factory=lambda: ModerationHistory([]), compare=False)

    def __str__(self) -> str:
        name = f"@{self.author.username}" if self.author else "an erased account"
        return name if self.target.type == TargetType.USER else f"{self.target.type} by {name}"

    @property
    def pk(self) -> int:
        return self.target.id

    @property
    def excerpt(self) -> str:
        return self.text if len(self.text) <= MAX_EXCERPT_LENGTH else f"{self.text[: MAX_EXCERPT_LENGTH - 1]}…"

    @property
    def thumbnail(self) -> str | None:
        if self.target.type == TargetType.USER and self.author:
            return avatar_storage.staff_url(self.author.avatar_path)
        return _get_url(self.pictures[0].media, THUMBNAIL_SIZE) if self.pictures else None

    @property
    def exists(self) -> bool:
        return not self.gone_reason

    @property
    def is_content(self) -> bool:
        """Whether this is a post or comment that exists, and so can be hidden, restored and deleted."""
        return self.exists and self.target.type != TargetType.USER

    @property
    def is_suspended(self) -> bool:
        return self.author is not None and self.author.suspended_at is not None

    @property
    def note(self) -> str:
        """A summary for the confirmation page."""
        reports = ""
        if self.case is not None and self.case.state == CaseState.OPEN:
            reports = f"{self.case.report_count} reports: {', '.join(self.case.reasons)}"
        return "; ".join(filter(None, [self.gone_reason, "hidden" if self.hidden_at else "", reports]))


def load_snapshots_for_cases(cases: Sequence[Case]) -> dict[int, TargetSnapshot]:
    """Return the snapshot of each case's target, by case id."""
    targets = {case.pk: Target(TargetType(case.target_type), case.target_id, case.user_id) for case in cases}
    snapshots = load_snapshots(targets.values())
    return {case.pk: replace(snapshots[targets[case.pk]], case=case) for case in cases}


def load_snapshots(targets: Iterable[Target]) -> dict[Target, TargetSnapshot]:
    """Return the current state of each target."""
    wanted = list(targets)
    users = with_pending_counts(User.objects.using(DEFAULT_DB_ALIAS))
    authors = users.in_bulk({target.user_id for target in wanted})
    history = ModerationHistory(wanted)
    post_ids = [target.id for target in wanted if target.type == TargetType.POST]
    posts = Post.objects.using(DEFAULT_DB_ALIAS).filter(deleted_at=None).in_bulk(post_ids)
    comment_ids = [target.id for target in wanted if target.type == TargetType.COMMENT]
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(post__deleted_at=None).in_bulk(comment_ids)
    pictures = _load_pictures(posts)
    snapshots = {}
    for target in wanted:
        author = authors.get(target.user_id)
        if target.type == TargetType.POST:
            snapshot = _build_post_snapshot(target, author, posts.get(target.id), pictures[target.id])
        elif target.type == TargetType.COMMENT:
            snapshot = _build_comment_snapshot(target, author, comments.get(target.id))
        else:
            snapshot = TargetSnapshot(
                target, author, _get_gone_reason(author), format_profile(author) if author else ""
            )
        snapshots[target] = replace(snapshot, history=history)
    return snapshots


def _build_post_snapshot(
    target: Target, author: User | None, post: Post | None, pictures: list[Media]
) -> TargetSnapshot:
    if post is None:
        return TargetSnapshot(target, author, _get_gone_reason(author) or "The post was deleted.")
    return TargetSnapshot(
        *(target, author, _get_gone_reason(author)),
        text=format_post(post.caption, [media.alt_text for media in pictures]),
        pictures=[Picture(media) for media in pictures],
        hidden_at=post.hidden_at,
        created_at=post.created_at,
    )


def _build_comment_snapshot(target: Target, author: User | None, comment: Comment | None) -> TargetSnapshot:
    if comment is None:
        return TargetSnapshot(
            target, author, _get_gone_reason(author) or "The comment, or the post it was on, was deleted."
        )
    return TargetSnapshot(
        *(target, author, _get_gone_reason(author), comment.text),
        hidden_at=comment.hidden_at,
        created_at=comment.created_at,
        post_id=comment.post_id,
    )


def _get_gone_reason(author: User | None) -> str:
    return "" if author is not None and author.deleted_at is None else "The account was deleted."


def _load_pictures(post_ids: Iterable[int]) -> dict[int, list[Media]]:
    """Return the media of each post, in order."""
    found: dict[int, list[Media]] = defaultdict(list)
    links = PostMedia.objects.using(DEFAULT_DB_ALIAS).filter(post__in=list(post_ids)).select_related("media")
    for link in links.order_by("post", "position"):
        found[link.post_id].append(link.media)
    return found


def _get_url(media: Media, size: int) -> str | None:
    """Return the media's URL; None if it is not ready, or if the storage cannot sign a URL now."""
    try:
        return variants.variant_url(media, size)
    except storage.StorageError:
        return None
