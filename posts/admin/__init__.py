"""The moderators' admin pages: cases, posts and comments, and links to them from a user's page."""

from accounts.admin.users import ACTIONS, RELATED_LINKS, USER_CARDS, RelatedLink
from posts.admin import cases, content
from posts.admin.user_actions import NOTE, SUSPEND, WARN
from posts.admin.user_cards import render_notes_card, render_reports_card
from posts.models import Case, Comment, Post

ACTIONS[:0] = [SUSPEND, WARN]
ACTIONS.append(NOTE)
RELATED_LINKS[:0] = [
    RelatedLink("posts", Post, "author"),
    RelatedLink("comments", Comment, "author"),
    RelatedLink("cases", Case, "user_id"),
]
USER_CARDS += [render_notes_card, render_reports_card]

__all__ = ["cases", "content"]
