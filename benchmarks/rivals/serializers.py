"""Posts as the project's API shows them, by Django REST framework's serializers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import User
from accounts.user_cache import render_user_summary
from media import storage, variants
from posts import entities
from posts.models import Post
from posts.permalinks import permalink


class AuthorSerializer(serializers.ModelSerializer[User]):
    id = serializers.CharField()
    avatar_url = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "username", "display_name", "avatar_url", "is_celebrity"]

    def get_avatar_url(self, user: User) -> Any:
        return render_user_summary(user)["avatar_url"]


class PostSerializer(serializers.ModelSerializer[Post]):
    """Needs the columns of `views.shown_posts`."""

    id = serializers.CharField()
    author = AuthorSerializer()
    media = serializers.SerializerMethodField()
    hashtags = serializers.SerializerMethodField()
    mentions = serializers.SerializerMethodField()
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()
    liked = serializers.BooleanField()
    saved = serializers.BooleanField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Post
        fields = [
            *("id", "caption", "media", "hashtags", "mentions", "created_at", "edited_at"),
            *("author", "like_count", "comment_count", "liked", "saved", "url"),
        ]

    def get_media(self, post: Post) -> list[dict[str, Any]]:
        return [variants.serialize(link.media, storage.url) for link in post.post_media_set.all()]

    def get_hashtags(self, post: Post) -> list[str]:
        return entities.extract_hashtags(post.caption)

    def get_mentions(self, post: Post) -> list[str]:
        return entities.extract_mentions(post.caption)

    def get_url(self, post: Post) -> str:
        return permalink(post.pk)
