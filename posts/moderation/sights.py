"""What posts, comments and accounts look like to a moderator: whoever may see them, hidden ones too, and what is gone.

Loaded for a page at a time, in at most four queries. URLs are signed when they are asked for, as the pictures of
what is hidden are private.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS

from accounts.counts import counted
from accounts.models import User
from instafeed.api.links import file_url
from media import storage, variants
from media.models import Media, Status
from posts.models import Case, CaseState, Comment, Post, PostMedia, TargetType
from posts.moderation.record import Record
from posts.services import Target

THUMBNAIL, FULL = 150, 1080
EXCERPT = 140  # characters


@dataclass(frozen=True)
class Picture:
    media: Media

    @property
    def url(self) -> str | None:
        return _url(self.media, FULL)

    @property
    def status(self) -> str:
        return Status(self.media.status).label


@dataclass(frozen=True)
class Sight:
    """One target as it is now; `case` is what made somebody look, if anything."""

    target: Target
    author: User | None  # None once the account is erased
    gone: str = ""  # why there is nothing to see any more
    text: str = ""
    pictures: Sequence[Picture] = ()
    hidden_at: datetime | None = None
    created_at: datetime | None = None
    post_id: int | None = None  # of a comment
    case: Case | None = field(default=None, compare=False)
    record: Record = field(default_factory=lambda: Record([]), compare=False)

    def __str__(self) -> str:
        name = f"@{self.author.username}" if self.author else "an erased account"
        return name if self.target.type == TargetType.USER else f"{self.target.type} by {name}"

    @property
    def pk(self) -> int:
        return self.target.id

    @property
    def excerpt(self) -> str:
        return self.text if len(self.text) <= EXCERPT else f"{self.text[: EXCERPT - 1]}…"

    @property
    def thumbnail(self) -> str | None:
        if self.target.type == TargetType.USER and self.author:
            return file_url(self.author.avatar_path)
        return _url(self.pictures[0].media, THUMBNAIL) if self.pictures else None

    @property
    def is_there(self) -> bool:
        return not self.gone

    @property
    def is_content(self) -> bool:
        """Whether it can be hidden, restored and deleted."""
        return self.is_there and self.target.type != TargetType.USER

    @property
    def is_suspended(self) -> bool:
        return self.author is not None and self.author.suspended_at is not None

    @property
    def note(self) -> str:
        """On the page that asks for a confirmation."""
        reports = ""
        if self.case is not None and self.case.state == CaseState.OPEN:
            reports = f"{self.case.report_count} reports: {', '.join(self.case.reasons)}"
        return "; ".join(filter(None, [self.gone, "hidden" if self.hidden_at else "", reports]))


def sights_of_cases(cases: Sequence[Case]) -> dict[int, Sight]:
    """By case."""
    targets = {case.pk: Target(TargetType(case.target_type), case.target_id, case.user_id) for case in cases}
    seen = sights(targets.values())
    return {case.pk: replace(seen[targets[case.pk]], case=case) for case in cases}


def sights(targets: Iterable[Target]) -> dict[Target, Sight]:
    """What these are now."""
    wanted = list(targets)
    people = counted(User.objects.using(DEFAULT_DB_ALIAS))
    authors = people.in_bulk({target.user_id for target in wanted})
    record = Record(wanted)
    posts = _posts([target.id for target in wanted if target.type == TargetType.POST])
    comments = _comments([target.id for target in wanted if target.type == TargetType.COMMENT])
    pictures = _pictures(posts)
    found = {}
    for target in wanted:
        author = authors.get(target.user_id)
        if target.type == TargetType.POST:
            sight = _of_post(target, author, posts.get(target.id), pictures[target.id])
        elif target.type == TargetType.COMMENT:
            sight = _of_comment(target, author, comments.get(target.id))
        else:
            sight = Sight(target, author, _gone(author), author.bio if author else "")
        found[target] = replace(sight, record=record)
    return found


def _of_post(target: Target, author: User | None, post: Post | None, pictures: list[Media]) -> Sight:
    if post is None:
        return Sight(target, author, _gone(author) or "The post was deleted.")
    return Sight(
        *(target, author, _gone(author), post.caption),
        pictures=[Picture(media) for media in pictures],
        hidden_at=post.hidden_at,
        created_at=post.created_at,
    )


def _of_comment(target: Target, author: User | None, comment: Comment | None) -> Sight:
    if comment is None:
        return Sight(target, author, _gone(author) or "The comment, or the post it was on, was deleted.")
    return Sight(
        *(target, author, _gone(author), comment.text),
        hidden_at=comment.hidden_at,
        created_at=comment.created_at,
        post_id=comment.post_id,
    )


def _gone(author: User | None) -> str:
    return "" if author is not None and author.deleted_at is None else "The account was deleted."


def _posts(ids: list[int]) -> dict[int, Post]:
    return Post.objects.using(DEFAULT_DB_ALIAS).filter(deleted_at=None).in_bulk(ids) if ids else {}


def _comments(ids: list[int]) -> dict[int, Comment]:
    return Comment.objects.using(DEFAULT_DB_ALIAS).filter(post__deleted_at=None).in_bulk(ids) if ids else {}


def _pictures(post_ids: Iterable[int]) -> dict[int, list[Media]]:
    """By post, in their order."""
    found: dict[int, list[Media]] = defaultdict(list)
    if wanted := list(post_ids):
        places = PostMedia.objects.using(DEFAULT_DB_ALIAS).filter(post__in=wanted).select_related("media")
        for place in places.order_by("post", "position"):
            found[place.post_id].append(place.media)
    return found


def _url(media: Media, size: int) -> str | None:
    """None for a picture that is not ready, or while its storage cannot sign."""
    try:
        return variants.url(media, size)
    except storage.StorageError:
        return None
