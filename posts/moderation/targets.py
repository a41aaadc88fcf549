"""Posts, comments and accounts as a moderator sees them: including private, hidden and deleted ones.

A page of targets is loaded in at most four queries. Picture URLs are signed on access, because the media of hidden
posts are private.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, OuterRef, QuerySet, Subquery, Sum

from accounts import avatar_storage
from accounts.follower_counts import with_pending_counts
from accounts.models import Reason, User
from media import storage, variants
from media.models import Media, Status
from posts.counters import Counts
from posts.models import Case, CaseState, Comment, Counter, Post, PostMedia, TargetType
from posts.moderation.history import ModerationHistory
from posts.reported_texts import format_post, format_profile
from posts.services import Target

_Content = TypeVar("_Content", Post, Comment)

THUMBNAIL_SIZE, FULL_SIZE = 150, 1080
MAX_EXCERPT_LENGTH = 140  # characters
# Pictures that are reported for one of these are blurred until the moderator asks for them.
SENSITIVE_REASONS = frozenset({Reason.NUDITY, Reason.VIOLENCE, Reason.CHILD_SAFETY, Reason.SELF_HARM})


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

    @property
    def alt_text(self) -> str:
        return self.media.alt_text

    @property
    def width(self) -> int | None:
        return self.media.width

    @property
    def height(self) -> int | None:
        return self.media.height

    @property
    def error(self) -> str:
        return self.media.error


@dataclass(frozen=True)
class Avatar:
    """The avatar of a reported account, shown like a picture of a post."""

    url: str
    alt_text: str = "avatar"


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
    comment: Comment | None = None  # itself, with its post and the author of that
    post_pictures: Sequence[Picture] = ()  # of the post that a comment is on
    is_post_sensitive: bool = False  # the same for the reports of that post
    counts: Counts | None = None  # of a post or comment that exists
    case: Case | None = field(default=None, compare=False)
    history: ModerationHistory = field(default_factory=lambda: ModerationHistory([]), compare=False)

    def __str__(self) -> str:
        name = f"@{self.author.username}" if self.author else "an erased account"
        return name if self.target.type == TargetType.USER else f"{self.target.type} by {name}"

    @property
    def pk(self) -> int:
        return self.target.id

    @property
    def post_id(self) -> int | None:
        return self.comment.post_id if self.comment is not None else None

    @property
    def post_thumbnail(self) -> str | None:
        return _get_url(self.post_pictures[0].media, THUMBNAIL_SIZE) if self.post_pictures else None

    @property
    def excerpt(self) -> str:
        return self.text if len(self.text) <= MAX_EXCERPT_LENGTH else f"{self.text[: MAX_EXCERPT_LENGTH - 1]}…"

    @property
    def thumbnail(self) -> str | None:
        if self.target.type == TargetType.USER and self.author:
            return avatar_storage.staff_url(self.author.avatar_path)
        return _get_url(self.pictures[0].media, THUMBNAIL_SIZE) if self.pictures else None

    @property
    def shown_pictures(self) -> Sequence[Picture | Avatar]:
        """The pictures of a post, or the avatar of an account."""
        avatar = self.thumbnail if self.target.type == TargetType.USER else None
        return [Avatar(avatar)] if avatar else self.pictures

    @property
    def is_sensitive(self) -> bool:
        return self.case is not None and is_sensitive(self.case)

    @property
    def reasons(self) -> str:
        return describe_reasons(self.case) if self.case is not None else ""

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
            reports = f"reports: {self.reasons}"
        return "; ".join(filter(None, [self.gone_reason, "hidden" if self.hidden_at else "", reports]))


def with_counts(rows: QuerySet[_Content]) -> QuerySet[_Content]:
    """Annotate posts or comments with `like_total` and `comment_total`, null for none."""
    counters = Counter.objects.filter(subject_id=OuterRef("pk")).values("subject_id")
    return rows.annotate(
        like_total=Subquery(counters.annotate(total=Sum("likes")).values("total")),
        comment_total=Subquery(counters.annotate(total=Sum("comments")).values("total")),
    )


def describe_reasons(case: Case) -> str:
    """Return the number of reports by reason, such as "3 nudity · 1 spam"."""
    return " · ".join(f"{case.reason_counts[reason]} {Reason(reason).label.lower()}" for reason in case.reasons)


def is_sensitive(case: Case) -> bool:
    """Return whether the pictures of the case's target are blurred at first."""
    return not SENSITIVE_REASONS.isdisjoint(case.reasons)


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
    posts = with_counts(Post.objects.using(DEFAULT_DB_ALIAS).filter(deleted_at=None)).in_bulk(post_ids)
    comment_ids = [target.id for target in wanted if target.type == TargetType.COMMENT]
    comments = _select_comments().in_bulk(comment_ids)
    pictures = _load_pictures({*posts, *(comment.post_id for comment in comments.values())})
    snapshots = {}
    for target in wanted:
        author = authors.get(target.user_id)
        if target.type == TargetType.POST:
            snapshot = _build_post_snapshot(target, author, posts.get(target.id), pictures[target.id])
        elif target.type == TargetType.COMMENT:
            comment = comments.get(target.id)
            on_post = pictures[comment.post_id] if comment is not None else []
            snapshot = _build_comment_snapshot(target, author, comment, on_post)
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
        counts=_get_counts(post),
    )


def _build_comment_snapshot(
    target: Target, author: User | None, comment: Comment | None, post_pictures: list[Media]
) -> TargetSnapshot:
    if comment is None:
        return TargetSnapshot(
            target, author, _get_gone_reason(author) or "The comment, or the post it was on, was deleted."
        )
    return TargetSnapshot(
        *(target, author, _get_gone_reason(author), comment.text),
        hidden_at=comment.hidden_at,
        created_at=comment.created_at,
        comment=comment,
        post_pictures=[Picture(media) for media in post_pictures],
        is_post_sensitive=cast(Any, comment).is_post_sensitive,
        counts=_get_counts(comment),
    )


def _select_comments() -> QuerySet[Comment]:
    """Return comments on posts that exist, each with its post, and whether the post's pictures are blurred."""
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(post__deleted_at=None).select_related("post__author")
    reported_posts = Case.objects.filter(target_type=TargetType.POST, target_id=OuterRef("post_id"))
    sensitive = reported_posts.filter(reason_counts__has_any_keys=sorted(SENSITIVE_REASONS))
    return with_counts(comments).annotate(is_post_sensitive=Exists(sensitive))


def _get_counts(row: Any) -> Counts:
    return Counts(row.like_total or 0, row.comment_total or 0)


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
