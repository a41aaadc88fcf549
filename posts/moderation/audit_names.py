"""The names of posts and comments in the audit log: the beginnings of their texts."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat, Left

from accounts.audit_targets import MAX_NAME_LENGTH, TARGET_NAMES
from posts.models import Comment, Post


def register() -> None:
    TARGET_NAMES["post"] = lambda: _quote(Post.objects.filter(deleted_at=None).exclude(caption=""), "caption")
    TARGET_NAMES["comment"] = lambda: _quote(Comment.objects.filter(post__deleted_at=None), "text")


def _quote(rows: QuerySet[Post] | QuerySet[Comment], field: str) -> Subquery:
    name = Concat(Value("“"), Left(field, MAX_NAME_LENGTH), Value("”"))
    return Subquery(rows.filter(pk=OuterRef("target_id")).values(name=name))
