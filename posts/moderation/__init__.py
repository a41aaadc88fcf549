"""Moderation of posts, comments and accounts.

* `actions`: what a moderator can do to a target.
* `cases`: lock and close the case of a target.
* `messages`: inform authors and reporters.
* `targets`: the current state of targets, for the moderators' pages.
* `case_detail`: everything else that a case's page shows.
* `history`: earlier warnings and suspensions.
"""

from posts.moderation.actions import (
    add_note,
    ask_second_opinion,
    close_related_case,
    decide_open_case,
    delete,
    dismiss,
    hide,
    hide_and_warn,
    lift_suspension,
    restore,
    suspend_author,
    warn,
)
from posts.moderation.messages import NO_ONE, Recipients

__all__ = [
    "NO_ONE",
    "Recipients",
    "add_note",
    "ask_second_opinion",
    "close_related_case",
    "decide_open_case",
    "delete",
    "dismiss",
    "hide",
    "hide_and_warn",
    "lift_suspension",
    "restore",
    "suspend_author",
    "warn",
]
