"""The moderators' admin pages: cases, posts and comments, and links to them from a user's page."""

from accounts.admin.users import RELATED_LINKS, RelatedLink
from posts.admin import cases, content
from posts.models import Case, Comment, Post

RELATED_LINKS[:0] = [
    RelatedLink("posts", Post, "author"),
    RelatedLink("comments", Comment, "author"),
    RelatedLink("cases", Case, "user_id"),
]

__all__ = ["cases", "content"]
