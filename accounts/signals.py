"""Signals of accounts to the apps above it. Sent inside the transaction of the change, unless stated otherwise."""

from django.dispatch import Signal

# user_id: int. Sent before the transaction that may change is_private locks any row. Receivers take their own
# locks first (social.services.locks); otherwise the two transactions could deadlock.
privacy_changing = Signal()
# user_id: int, is_private: bool (the new value).
privacy_changed = Signal()
# user_id: int, is_active: bool (the new value): False after a suspension or deletion, True after a reinstatement.
access_changed = Signal()
# session_ids: list[int]. These sessions end.
sessions_ended = Signal()
# actor: User, user_id: int, changes: accounts.audit.Changes. A moderator sanctions the account, whose row is
# locked. Receivers add their own changes.
account_sanctioned = Signal()
# user_id: int, media_id: int. A moderator removes the avatar, which was copied from this picture. The row is locked.
avatar_taken_down = Signal()
# user_id: int. A moderator pinned the user to push or pull, or removed the pin.
celebrity_pinned = Signal()
# user_ids: list[int]. Sent after the commit, while the moderator waits for the response. Receivers unpublish the users'
# files within a few seconds, without waiting for a worker, and do not raise.
public_files_revoked = Signal()
