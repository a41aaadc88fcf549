"""The text of a reported target: everything that its author wrote, as moderators see it and reports keep it.

A part that is missing here could be changed after the dismissal of a report without a moderator seeing it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import DEFAULT_DB_ALIAS

from accounts.models import User
from posts.models import Comment, Post, PostMedia, TargetType


def read_text(target_type: TargetType, target_id: int) -> str:
    """Return the text of the target as it is now; an empty one if it is deleted."""
    if target_type == TargetType.USER:
        user = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=target_id).first()
        return format_profile(user) if user else ""
    if target_type == TargetType.POST:
        captions = Post.objects.using(DEFAULT_DB_ALIAS).filter(pk=target_id).values_list("caption", flat=True)
        links = PostMedia.objects.using(DEFAULT_DB_ALIAS).filter(post=target_id).order_by("position")
        return format_post(captions.first() or "", links.values_list("media__alt_text", flat=True))
    texts = Comment.objects.using(DEFAULT_DB_ALIAS).filter(pk=target_id).values_list("text", flat=True)
    return texts.first() or ""


def format_profile(user: User) -> str:
    """Return the text of a profile. It names the picture that the avatar shows by its id."""
    avatar = f"Avatar: picture {user.avatar_media}" if user.avatar_media else ""
    return "\n\n".join(filter(None, (f"@{user.username}", user.display_name, user.bio, user.website, avatar)))


def format_post(caption: str, alt_texts: Iterable[str]) -> str:
    """Return the text of a post: its caption and the alt texts of its pictures, in order."""
    described = (f"Alt text of picture {number}: {text}" for number, text in enumerate(alt_texts, 1) if text)
    return "\n\n".join(filter(None, (caption, *described)))
