"""What accounts announces to the apps above it. Sent inside the change's transaction."""

from django.dispatch import Signal

# user_id: int. Before the transaction that may change is_private locks any row: receivers take their own
# locks first (social.services.locks), else the two could wait for each other.
privacy_changing = Signal()
# user_id: int, is_private: bool, its new value.
privacy_changed = Signal()
# user_id: int, is_active: bool, its new value: False on suspension, True when that is lifted.
access_changed = Signal()
# actor: User, user_id: int, changes: accounts.audit.Changes. A moderator acts against the account, whose row is
# locked; receivers note what they change themselves.
account_sanctioned = Signal()
# user_id: int. A moderator pinned the user to push or pull, or took the pin away.
celebrity_pinned = Signal()
# user_ids: list[int]. Sent after the commit, by whoever waits for it: their files are to leave public sight at once,
# within a few seconds, and not when a worker comes to it. Receivers do not raise.
public_files_revoked = Signal()
