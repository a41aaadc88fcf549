"""Services that write posts, comments, likes, saves and reports: functions of ids, one transaction each.

Callers check permissions first (`posts.visibility`); `like_post` does so itself. Each service invalidates the caches of
what it changes.
"""

from media.services import UnknownMedia, UnusableMedia
from posts.services.comments import create_comment, delete_comment, erase_comments, hide_comment, restore_comment
from posts.services.likes import like_comment, like_post, unlike_comment, unlike_post
from posts.services.posts import (
    EmptyPost,
    create_post,
    delete_post,
    edit_post,
    hide_post,
    restore_post,
)
from posts.services.reports import Target, file_report
from posts.services.saves import save_post, unsave_post

__all__ = [
    "EmptyPost",
    "Target",
    "UnknownMedia",
    "UnusableMedia",
    "create_comment",
    "create_post",
    "delete_comment",
    "delete_post",
    "edit_post",
    "erase_comments",
    "file_report",
    "hide_comment",
    "hide_post",
    "like_comment",
    "like_post",
    "restore_comment",
    "restore_post",
    "save_post",
    "unlike_comment",
    "unlike_post",
    "unsave_post",
]
