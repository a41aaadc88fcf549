"""Moderation of posts, comments and accounts.

* `actions`: what a moderator can do to a target.
* `cases`: lock and close the case of a target.
* `targets`: the current state of targets, for the moderators' pages.
* `case_detail`: everything else that a case's page shows.
* `history`: earlier warnings and suspensions.
"""

from posts.moderation.actions import (
    close_related_case,
    delete,
    dismiss,
    hide,
    lift_suspension,
    restore,
    suspend_author,
    warn,
)

__all__ = ["close_related_case", "delete", "dismiss", "hide", "lift_suspension", "restore", "suspend_author", "warn"]
