"""The moderators' pages: the queue of cases, posts, comments, and links to them from users."""

from accounts.admin.users import LINKS, Link
from posts.admin import cases, contents
from posts.models import Case, Comment, Post

LINKS[:0] = [
    Link("posts", Post, "author"),
    Link("comments", Comment, "author"),
    Link("cases", Case, "user_id"),
]

__all__ = ["cases", "contents"]
