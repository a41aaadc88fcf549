"""Notifications: who did what to whom, told once.

`outbox` is what writers call, `drain` and `entries` make the list of it on the workers' side, `selectors` and
`reading` serve it. Posts and comments are known by their ids only: what of them may be seen is for `posts`.
"""

from social.notifications.deletion import delete_for_user
from social.notifications.outbox import Event, announce, delete_for_comments, delete_for_posts, retract, warn

__all__ = ["Event", "announce", "delete_for_comments", "delete_for_posts", "delete_for_user", "retract", "warn"]
