"""What moderators do about posts, comments and accounts, and what they see of them.

`acts` does it, `cases` closes what was reported, `sights` shows what it is about, `dossier` all else on a case.
"""

from posts.moderation.acts import close_along, delete, dismiss, hide, lift, restore, suspend_author, warn

__all__ = ["close_along", "delete", "dismiss", "hide", "lift", "restore", "suspend_author", "warn"]
