"""What moderators do about posts, comments and accounts, and what they see of them.

`acts` does it, `cases` closes what was reported, `sights` shows what it is about, `dossier` all else on a case.
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
